"""The smallest server: prints each text of the lobby as `name: text`, until Ctrl-C."""

from zmqchat.sync import Server

server = Server()
server.start_listening("localhost:8000")
server.listen_for_messages()
