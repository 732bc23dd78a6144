SELECT store, revision, floor, clock_timestamp() FROM dynconfig.head
