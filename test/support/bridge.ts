/** TCP ports of the loopback for servers that listen at Unix sockets: nobody else can take such a port before. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const bridges = new Map<Server, Set<Socket>>();

/** Listens at a port that is free, and hands what comes to the socket. */
export async function bridgeTo(path: string): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const behind = connect({ path });
    for (const [socket, other] of [
      [client, behind],
      [behind, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  bridges.set(server, sockets);
  return listening(server);
}

/** Has a server listen at a port that is free. */
export async function listening(server: { listen: Server['listen']; address: Server['address'] }): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve());
  });
  return (server.address() as AddressInfo).port;
}

/** Closes all bridges. */
export function closeBridges(): void {
  for (const [server, sockets] of bridges) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
  bridges.clear();
}
