"""Is an image one that the network was made for?"""
