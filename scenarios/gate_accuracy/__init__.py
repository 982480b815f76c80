"""How often the gate is wrong: see the README beside this file."""
