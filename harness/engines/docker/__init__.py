"""The engine that is a Docker daemon, or Podman's, with its images."""
