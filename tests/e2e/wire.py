"""A wire between an agent and its coordinator that can be cut: both ways, or one way only, and joined again."""
import selectors
import socket
import threading


class Wire(threading.Thread):
    """Forwards TCP. What comes while a way is cut stays in the sockets, as packets of a lost route would be sent again."""

    def __init__(self, port, to):
        super().__init__(daemon=True)
        self.to, self.up, self.down, self.stopping = to, True, True, False
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.setblocking(False)
        self.pairs = {}  # socket -> (the other one, is it the agent's?)

    def set(self, up, down):
        self.up, self.down = up, down

    def drop(self, sock):
        other, _ = self.pairs.pop(sock, (None, None))
        self.pairs.pop(other, None)
        for each in filter(None, (sock, other)):
            each.close()

    def accept(self):
        agent, _ = self.listener.accept()
        coordinator = socket.create_connection(("127.0.0.1", self.to))
        self.pairs[agent], self.pairs[coordinator] = (coordinator, True), (agent, False)

    def run(self):
        while not self.stopping:
            with selectors.DefaultSelector() as selector:
                if self.up:
                    selector.register(self.listener, selectors.EVENT_READ)
                for sock, (_, from_agent) in self.pairs.items():
                    if self.up if from_agent else self.down:
                        selector.register(sock, selectors.EVENT_READ)
                for key, _ in selector.select(0.05):
                    self.move(key.fileobj)
        self.listener.close()
        for sock in list(self.pairs):
            self.drop(sock)

    def move(self, sock):
        try:
            if sock is self.listener:
                self.accept()
            elif sock in self.pairs:
                data = sock.recv(65536)
                if data:
                    self.pairs[sock][0].sendall(data)
                else:
                    self.drop(sock)
        except OSError:
            self.drop(sock)

    def stop(self):
        self.stopping = True
        self.join(5)
