"""How often is the gate wrong? See the README beside this file."""
