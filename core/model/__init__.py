"""The network, its weights and the device it runs on."""
