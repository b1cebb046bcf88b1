// Unix sockets with file descriptors: listen, connect, send and receive. Nothing waits, except
// WaitReadable and WaitWritable. Every descriptor returned is non-blocking and close-on-exec.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace raylet {

constexpr size_t kSocketPathBytesMax = 107;
constexpr size_t kFdsPerMessageMax = 8;

// Binds `path` with mode 0600 and listens. The folder must exist and we must be able to write it. A path too long, an
// unreadable folder and an address in use are errors that name the remedy. Replaces a socket file that nobody serves (a
// connect is refused), since a dead process left it.
Result<UniqueFd> ListenUnix(const std::string& path, int backlog);
// The file of a socket from ListenUnix, for as long as that is served. Its end removes the file, unless a later daemon
// has put its own there. Goes before the socket is closed.
class SocketFile {
 public:
  explicit SocketFile(std::string path);
  ~SocketFile();
  void Leave() { number_ = 0; }  // another process serves it now: its end removes nothing
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;

 private:
  const std::string path_;
  dev_t device_ = 0;
  ino_t number_ = 0;  // no other file has it while the socket is open
};

// The next connection, an invalid UniqueFd when there is none, kFull at the descriptor limit.
Result<UniqueFd> AcceptUnix(int listen_fd);
// kNotRunning when nobody listens.
Result<UniqueFd> ConnectUnix(const std::string& path);

// The same at an abstract name, which belongs to a network namespace and not to a folder. It is no
// file; nothing is left of it when its descriptors are closed. Any user may take such a name or
// connect to it, so each side checks GetPeerCredentials. kAlreadyExists where another process has
// the name.
Result<UniqueFd> ListenAbstract(const std::string& name, int backlog);
Result<UniqueFd> ConnectAbstract(const std::string& name);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
};
Result<PeerCredentials> GetPeerCredentials(int fd);
// kNotAllowed where the other side is a process of another user. `daemon` is our own: "raylet".
Result<void> CheckSameUser(int fd, const char* daemon);

// Sends what the kernel takes; returns 0 when it would block. `fds` go with the first byte. Never
// raises SIGPIPE.
Result<size_t> SendSome(int fd, std::span<const std::byte> bytes, std::span<const int> fds);
struct Received {
  size_t bytes = 0;
  bool would_block = false;  // nothing there; bytes == 0 and !would_block means the other side closed
};
// Appends received descriptors to `fds`. kProtocolError when the kernel dropped some.
Result<Received> ReceiveSome(int fd, std::span<std::byte> buffer, std::vector<UniqueFd>& fds);

// Waits until fd is readable (or writable); false at the deadline. An interrupted wait goes on.
Result<bool> WaitReadable(int fd, Deadline deadline);
Result<bool> WaitWritable(int fd, Deadline deadline);
// True when the other side has gone. Reads nothing.
bool PeerClosed(int fd);

}  // namespace raylet
