#include "base/tcp_socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/strings.h"

namespace raylet {
namespace {

struct HostAndPort {
  std::string host, port;
};

Result<HostAndPort> Split(const std::string& text) {
  const size_t colon = text.rfind(':');
  HostAndPort parts;
  if (colon != std::string::npos) {
    parts = {text.substr(0, colon), text.substr(colon + 1)};
    if (parts.host.size() > 2 && parts.host.front() == '[' && parts.host.back() == ']') {
      parts.host = parts.host.substr(1, parts.host.size() - 2);
    } else if (parts.host.find(':') != std::string::npos) {
      parts.host.clear();  // ambiguous: several colons
    }
  }
  uint16_t port = 0;
  const auto end = parts.port.data() + parts.port.size();
  const auto parsed = std::from_chars(parts.port.data(), end, port);
  if (parts.host.empty() || parts.port.empty() || parsed.ec != std::errc() || parsed.ptr != end) {
    return Fail(ErrorCode::kInvalid,
                StrCat("\"", text, "\" is no address: say host:port, such as 10.0.0.1:7000 or [fe80::1]:7000"));
  }
  return parts;
}

Result<TcpAddress> LookUp(const HostAndPort& parts, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int failed = ::getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found); failed != 0) {
    return Fail(ErrorCode::kInvalid,
                StrCat("cannot make an address of \"", parts.host, "\": ", ::gai_strerror(failed)));
  }
  // A name may have several addresses. Takes an IPv4 one where there is one, because --node-ip is
  // IPv4 by default.
  const addrinfo* best = found;
  for (const addrinfo* each = found; each != nullptr && best->ai_family != AF_INET; each = each->ai_next)
    if (each->ai_family == AF_INET) best = each;
  sockaddr_storage raw{};
  std::memcpy(&raw, best->ai_addr, best->ai_addrlen);
  const TcpAddress address(raw, best->ai_addrlen);
  ::freeaddrinfo(found);
  return address;
}

Result<UniqueFd> NewSocket(const TcpAddress& address) {
  UniqueFd fd(::socket(address.raw()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return FailErrno("cannot make a TCP socket", errno);
  return fd;
}

// Sends small messages at once: the writers already gather what belongs together.
void SetNoDelay(int fd) {
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

}  // namespace

TcpAddress::TcpAddress(const sockaddr_storage& raw, socklen_t size) : raw_(raw), size_(size) {
  char text[INET6_ADDRSTRLEN] = {};
  if (raw_.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &raw_, sizeof v6);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    host_ = text;
    port_ = ntohs(v6.sin6_port);
    text_ = StrCat("[", host_, "]:", port_);
    loopback_ = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    wildcard_ = IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
  } else {
    sockaddr_in v4{};
    std::memcpy(&v4, &raw_, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    host_ = text;
    port_ = ntohs(v4.sin_port);
    text_ = StrCat(host_, ":", port_);
    const uint32_t number = ntohl(v4.sin_addr.s_addr);
    loopback_ = number >> 24 == 127;
    wildcard_ = number == 0;
  }
}

Result<TcpAddress> ParseTcpAddress(const std::string& host_and_port) {
  const auto parts = Split(host_and_port);
  if (!parts) return Fail(parts.error());
  return LookUp(*parts, AI_NUMERICHOST);
}

Result<TcpAddress> MakeTcpAddress(const std::string& host, uint16_t port) {
  return LookUp({host, std::to_string(port)}, AI_NUMERICHOST);
}

Result<TcpAddress> ResolveTcpAddress(const std::string& host_and_port) {
  const auto parts = Split(host_and_port);
  if (!parts) return Fail(parts.error());
  return LookUp(*parts, 0);
}

Result<TcpAddress> ResolveTcpHost(const std::string& host, uint16_t port) {
  return LookUp({host, std::to_string(port)}, 0);
}

Result<UniqueFd> ListenTcp(const TcpAddress& address, int backlog) {
  auto fd = NewSocket(address);
  if (!fd) return fd;
  const int one = 1;
  ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);  // past connections in TIME_WAIT are no obstacle
  if (::bind(fd->get(), address.raw(), address.size()) < 0 || ::listen(fd->get(), backlog) < 0) {
    switch (errno) {
      case EADDRINUSE:
        return Fail(ErrorCode::kAlreadyExists, StrCat("cannot listen on ", address.text(),
                                                      ": somebody listens there already; choose another --port, or 0"));
      case EADDRNOTAVAIL:
        return Fail(ErrorCode::kInvalid, StrCat("cannot listen on ", address.text(),
                                                ": this machine has no such address; choose one of its own"));
      case EACCES:
        return Fail(ErrorCode::kNotAllowed,
                    StrCat("cannot listen on ", address.text(), ": this port is the system's; choose one above 1023"));
      default: return FailErrno(StrCat("cannot listen on ", address.text()), errno);
    }
  }
  return fd;
}

Result<TcpAddress> LocalAddressOf(int fd) {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &size) < 0)
    return FailErrno("a socket has no address", errno);
  return TcpAddress(raw, size);
}

Result<TcpAddress> RemoteAddressOf(int fd) {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&raw), &size) < 0) return FailErrno("a connection has gone", errno);
  return TcpAddress(raw, size);
}

Result<UniqueFd> AcceptTcp(int listen_fd) {
  for (;;) {
    UniqueFd fd(::accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      SetNoDelay(fd.get());
      return fd;
    }
    switch (errno) {
      case EAGAIN: return UniqueFd();
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return Fail(ErrorCode::kFull, StrCat("no descriptor is left for another connection (", std::strerror(errno),
                                             "): raise the limit with ulimit -n"));
      // An error of a connection before it was accepted is no failure of the listener.
      case EINTR:
      case ECONNABORTED:
      case ENETDOWN:
      case EPROTO:
      case ENOPROTOOPT:
      case EHOSTDOWN:
      case ENONET:
      case EHOSTUNREACH:
      case ENETUNREACH: continue;
      default: return FailErrno("cannot accept a connection", errno);
    }
  }
}

Result<UniqueFd> ConnectTcp(const TcpAddress& address) {
  auto fd = NewSocket(address);
  if (!fd) return fd;
  SetNoDelay(fd->get());
  if (::connect(fd->get(), address.raw(), address.size()) == 0 || errno == EINPROGRESS || errno == EINTR) return fd;
  if (errno == ECONNREFUSED) {
    return Fail(ErrorCode::kNotRunning, StrCat("nobody listens on ", address.text()));
  }
  return FailErrno(StrCat("cannot connect to ", address.text()), errno);
}

Result<void> ConnectOutcome(int fd, const TcpAddress& address) {
  int reason = 0;
  socklen_t size = sizeof reason;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) < 0) reason = errno;
  if (reason == 0) return {};
  if (reason == ECONNREFUSED) return Fail(ErrorCode::kNotRunning, StrCat("nobody listens on ", address.text()));
  return FailErrno(StrCat("cannot connect to ", address.text()), reason);
}

}  // namespace raylet
