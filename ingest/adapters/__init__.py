"""The protocols that end in the cloud, one package or file each."""
