"""Folders and files inside of containers that several of them know."""

AGENT_FOLDER = "/mnt/agent"
"""The volume of an agent: `models` below it is the inference server's repository."""
AGENT_CONFIG_FOLDER = "/mnt/config"
"""The ConfigMap with the namespace's remotes, in an agent."""
TOKEN_FOLDER = "/var/run/secrets/bailie"  # noqa: S105 - where the Secret is mounted
"""The Secret of the control plane."""
TOKEN_KEY = "token"  # noqa: S105 - the key in the Secret
"""The key in that Secret, and so the name of the file."""
KAFKA_FOLDER = "/mnt/kafka/config"
"""The settings of the message broker, in a pipeline gateway."""
KAFKA_FILE = "kafka.json"
"""The file there, and its key in the ConfigMap, as in Seldon Core."""
