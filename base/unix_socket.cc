#include "base/unix_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>

#include "base/strings.h"

namespace raylet {
namespace {

struct UnixAddress {
  sockaddr_un raw{};
  socklen_t size = sizeof(sockaddr_un);
};

Result<UnixAddress> MakeAddress(const std::string& path) {
  if (path.empty()) return Fail(ErrorCode::kInvalid, "a socket needs a path, and this one is empty");
  if (path.find('\0') != std::string::npos) return Fail(ErrorCode::kInvalid, "a socket path may hold no zero byte");
  if (path.size() > kSocketPathBytesMax) {
    return Fail(ErrorCode::kInvalid, StrCat("socket path ", path, " has ", path.size(), " bytes and the kernel takes ",
                                            kSocketPathBytesMax, ": choose a shorter one"));
  }
  UnixAddress address;
  address.raw.sun_family = AF_UNIX;
  std::memcpy(address.raw.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// An abstract name begins with a zero byte and ends by its length.
Result<UnixAddress> MakeAbstractAddress(const std::string& name) {
  auto address = MakeAddress(name);
  if (!address) return address;
  address->raw.sun_path[0] = 0;
  std::memcpy(address->raw.sun_path + 1, name.data(), name.size());
  address->size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

Result<UniqueFd> NewSocket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return FailErrno("cannot make a Unix socket", errno);
  return fd;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Returns 0 or the errno of connect. Never waits.
int Connect(int fd, const UnixAddress& address) {
  while (::connect(fd, reinterpret_cast<const sockaddr*>(&address.raw), address.size) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

tl::unexpected<Error> FailFolder(const std::string& folder, const std::string& path, int reason) {
  switch (reason) {
    case ENOENT:
    case ENOTDIR:
      return Fail(ErrorCode::kNotFound, StrCat("cannot listen on ", path, ": there is no folder ", folder,
                                               "; create it, or choose another path"));
    case EACCES:
    case EPERM:
    case EROFS:
      return Fail(ErrorCode::kNotAllowed, StrCat("cannot listen on ", path, ": folder ", folder,
                                                 " is not ours to read and write; choose another path"));
    default: return FailErrno(StrCat("cannot listen on ", path), reason);
  }
}

// The lock is held from bind to listen. Otherwise a second daemon could take a socket that is bound
// but does not listen yet for an abandoned one. The folder itself is locked, so no file is left.
Result<UniqueFd> LockFolder(const std::string& folder, const std::string& path) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return FailFolder(folder, path, errno);
  const Deadline deadline = Deadline::AfterMs(2000);
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return FailErrno(StrCat("cannot lock folder ", folder), errno);
    if (deadline.Passed()) {
      return Fail(ErrorCode::kTimedOut,
                  StrCat("cannot listen on ", path, ": another process has kept a lock on folder ", folder,
                         " for 2 s; choose another folder, or stop that process"));
    }
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return fd;
}

// Removes the file at `path` if it is a socket that nobody serves. Otherwise says what it is.
Result<void> RemoveStale(const std::string& path, const UnixAddress& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) < 0) {
    if (errno == ENOENT) return {};
    return FailErrno(StrCat("cannot look at ", path), errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Fail(
        ErrorCode::kAlreadyExists,
        StrCat("cannot listen on ", path, ": a file that is no socket lies there; remove it or choose another"));
  }
  const auto probe = NewSocket();
  if (!probe) return Fail(probe.error());
  const int reason = Connect(probe->get(), address);
  if (reason == ENOENT) return {};
  if (reason != ECONNREFUSED) {
    return Fail(
        ErrorCode::kAlreadyExists,
        StrCat("cannot listen on ", path, ": somebody serves it already; stop that daemon or choose another path"));
  }
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) return FailErrno(StrCat("cannot remove the stale ", path), errno);
  return {};
}

// One poll waits an hour at most; an endless wait is a sequence of polls.
timespec PollTimeout(Deadline deadline) {
  const Duration left = deadline.Left(std::chrono::hours(1));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(seconds.count());
  timeout.tv_nsec = static_cast<long>((left - seconds).count());
  return timeout;
}

Result<bool> WaitFor(int fd, short events, Deadline deadline) {
  for (;;) {
    pollfd polled{fd, events, 0};
    const timespec timeout = PollTimeout(deadline);
    const int ready = ::ppoll(&polled, 1, &timeout, nullptr);
    if (ready < 0 && errno != EINTR) return FailErrno("cannot wait for a socket", errno);
    if (ready > 0 && (polled.revents & POLLNVAL) != 0) return FailErrno("cannot wait for a socket", EBADF);
    if (ready > 0) return true;
    if (ready == 0 && deadline.Passed()) return false;
  }
}

// `name` appears in messages only.
Result<UniqueFd> ConnectTo(const Result<UnixAddress>& address, const std::string& name) {
  if (!address) return Fail(address.error());
  auto fd = NewSocket();
  if (!fd) return fd;
  switch (const int reason = Connect(fd->get(), *address)) {
    case 0: return fd;
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
      return Fail(ErrorCode::kNotRunning, StrCat("nobody listens on ", name, ": start the daemon, or name its socket"));
    case EACCES:
    case EPERM: return Fail(ErrorCode::kNotAllowed, StrCat("the daemon on ", name, " belongs to another user"));
    case EAGAIN:
      return Fail(ErrorCode::kFull, StrCat("the daemon on ", name, " has too many connections waiting: try again"));
    default: return FailErrno(StrCat("cannot connect to ", name), reason);
  }
}

}  // namespace

Result<UniqueFd> ListenUnix(const std::string& path, int backlog) {
  const auto address = MakeAddress(path);
  if (!address) return Fail(address.error());
  const std::string folder = FolderOf(path);
  const auto lock = LockFolder(folder, path);
  if (!lock) return Fail(lock.error());
  RAYLET_RETURN_IF_ERROR(RemoveStale(path, *address));
  auto fd = NewSocket();
  if (!fd) return fd;
  // The file gets the mode that the socket has before bind. So it is never open to others, not even
  // for a moment.
  if (::fchmod(fd->get(), 0600) < 0) return FailErrno(StrCat("cannot set the mode of ", path), errno);
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&address->raw), address->size) < 0) {
    return FailFolder(folder, path, errno);
  }
  if (::listen(fd->get(), backlog) < 0) {
    const int reason = errno;
    ::unlink(path.c_str());
    return FailErrno(StrCat("cannot listen on ", path), reason);
  }
  return fd;
}

SocketFile::SocketFile(std::string path) : path_(std::move(path)) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) < 0) return;  // somebody has removed it already
  device_ = status.st_dev;
  number_ = status.st_ino;
}

SocketFile::~SocketFile() {
  // A daemon that starts here meanwhile holds this lock. Where it cannot be had, the check below still stands.
  const auto lock = LockFolder(FolderOf(path_), path_);
  struct stat now {};
  if (::lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == number_) ::unlink(path_.c_str());
}

Result<UniqueFd> AcceptUnix(int listen_fd) {
  for (;;) {
    UniqueFd fd(::accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) return fd;
    switch (errno) {
      case EINTR:
      case ECONNABORTED: continue;
      case EAGAIN: return UniqueFd();
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return Fail(ErrorCode::kFull, StrCat("no descriptor is left for another connection (", std::strerror(errno),
                                             "): raise the limit with ulimit -n"));
      default: return FailErrno("cannot accept a connection", errno);
    }
  }
}

Result<UniqueFd> ConnectUnix(const std::string& path) { return ConnectTo(MakeAddress(path), path); }

Result<UniqueFd> ListenAbstract(const std::string& name, int backlog) {
  const auto address = MakeAbstractAddress(name);
  if (!address) return Fail(address.error());
  auto fd = NewSocket();
  if (!fd) return fd;
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&address->raw), address->size) < 0) {
    if (errno == EADDRINUSE)
      return Fail(ErrorCode::kAlreadyExists, StrCat("somebody has the abstract name ", name, " already"));
    return FailErrno(StrCat("cannot take the abstract name ", name), errno);
  }
  if (::listen(fd->get(), backlog) < 0) return FailErrno(StrCat("cannot listen on the abstract name ", name), errno);
  return fd;
}

Result<UniqueFd> ConnectAbstract(const std::string& name) { return ConnectTo(MakeAbstractAddress(name), "@" + name); }

Result<PeerCredentials> GetPeerCredentials(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
    return FailErrno("cannot learn who is at the other end of a socket", errno);
  }
  return PeerCredentials{credentials.pid, credentials.uid};
}

Result<void> CheckSameUser(int fd, const char* daemon) {
  const auto peer = GetPeerCredentials(fd);
  if (!peer) return Fail(peer.error());
  if (peer->uid == ::geteuid()) return {};
  return Fail(ErrorCode::kNotAllowed, StrCat("this ", daemon, " belongs to user ", ::geteuid(), ", and user ",
                                             peer->uid, " came: start one of your own"));
}

Result<size_t> SendSome(int fd, std::span<const std::byte> bytes, std::span<const int> fds) {
  if (fds.size() > kFdsPerMessageMax || (bytes.empty() && !fds.empty())) {
    return Fail(ErrorCode::kInvalid, StrCat("cannot send ", fds.size(), " descriptors with ", bytes.size(),
                                            " bytes: at most ", kFdsPerMessageMax, " go, and never without a byte"));
  }
  if (bytes.empty()) return 0;
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFdsPerMessageMax)] = {};
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  for (;;) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return static_cast<size_t>(sent);
    switch (errno) {
      case EINTR: continue;
      case EAGAIN: return 0;
      case EPIPE:
      case ECONNRESET:
      case ENOTCONN: return Fail(ErrorCode::kDisconnected, "the other side has closed the connection");
      case ETOOMANYREFS:
        return Fail(ErrorCode::kFull, "too many descriptors are under way to processes that do not take them");
      default: return FailErrno("cannot send", errno);
    }
  }
}

Result<Received> ReceiveSome(int fd, std::span<std::byte> buffer, std::vector<UniqueFd>& fds) {
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFdsPerMessageMax)];
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EAGAIN) return Received{0, true};
    // The other side closed before it read all that we sent. A reader sees that as the end.
    if (errno == ECONNRESET) return Received{0, false};
    return FailErrno("cannot receive", errno);
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
      fds.emplace_back(received);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    return Fail(ErrorCode::kProtocolError, StrCat("descriptors were lost: more than ", kFdsPerMessageMax,
                                                  " came in one message, or this process may open no more"));
  }
  return Received{static_cast<size_t>(got), false};
}

Result<bool> WaitReadable(int fd, Deadline deadline) { return WaitFor(fd, POLLIN, deadline); }

Result<bool> WaitWritable(int fd, Deadline deadline) { return WaitFor(fd, POLLOUT, deadline); }

bool PeerClosed(int fd) {
  pollfd polled{fd, POLLRDHUP, 0};
  int ready = -1;
  do {
    ready = ::poll(&polled, 1, 0);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;  // POLLRDHUP, POLLHUP, POLLERR or POLLNVAL: in each case nobody is there
}

}  // namespace raylet
