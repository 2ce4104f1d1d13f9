"""What has arrived: the landed originals, and the sensor on the inbox."""
