SELECT revision FROM dynconfig.head
