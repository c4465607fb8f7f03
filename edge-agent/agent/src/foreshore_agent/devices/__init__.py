"""Devices, one package a protocol with the same parts each: connection, topics, payload, broker."""
