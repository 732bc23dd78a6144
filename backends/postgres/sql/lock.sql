SELECT revision, time FROM dynconfig.head FOR UPDATE
