"""The smallest client: sends one text to the server and returns when the server has it on its disk."""

from zmqchat.sync import Client

client = Client()
client.connect("localhost:8000")
client.send_message("Hello, World!")
