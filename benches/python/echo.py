"""The floor: a bare loop that sends back what it reads on the socket that is its descriptor 0."""

import socket

with socket.socket(fileno=0) as connection:
    while data := connection.recv(65536):
        connection.sendall(data)
