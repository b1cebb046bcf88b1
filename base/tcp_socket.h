// TCP between the daemons of several machines: addresses, listen, accept, connect. Nothing here
// waits, except the functions that resolve names. Every descriptor returned is non-blocking and close-on-exec, and
// sends small writes at once. SendSome and ReceiveSome of base/unix_socket.h do the rest.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace raylet {

// "10.0.0.1:7000" or "[fe80::1]:7000".
class TcpAddress {
 public:
  TcpAddress() = default;
  TcpAddress(const sockaddr_storage& raw, socklen_t size);
  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&raw_); }
  socklen_t size() const { return size_; }
  const std::string& text() const { return text_; }
  const std::string& host() const { return host_; }
  uint16_t port() const { return port_; }
  bool loopback() const { return loopback_; }
  bool wildcard() const { return wildcard_; }  // 0.0.0.0 or ::

 private:
  sockaddr_storage raw_{};
  socklen_t size_ = 0;
  std::string text_, host_;
  uint16_t port_ = 0;
  bool loopback_ = false, wildcard_ = false;
};

// Numeric addresses only. Anything else is kInvalid with a sentence.
Result<TcpAddress> ParseTcpAddress(const std::string& host_and_port);
Result<TcpAddress> MakeTcpAddress(const std::string& host, uint16_t port);
// These take names too: they ask the resolver, which may take seconds. Call them before a loop runs.
Result<TcpAddress> ResolveTcpAddress(const std::string& host_and_port);
Result<TcpAddress> ResolveTcpHost(const std::string& host, uint16_t port);

// kAlreadyExists where another process listens already. kNotAllowed. kInvalid where this machine does not have the
// address.
Result<UniqueFd> ListenTcp(const TcpAddress& address, int backlog);
Result<TcpAddress> LocalAddressOf(int fd);
Result<TcpAddress> RemoteAddressOf(int fd);
// The next connection, an invalid UniqueFd when there is none, kFull at the descriptor limit.
Result<UniqueFd> AcceptTcp(int listen_fd);
// Begins to connect. Once the socket is writable, ConnectOutcome returns the outcome. kNotRunning
// means that the machine answered and refused: nobody listens.
Result<UniqueFd> ConnectTcp(const TcpAddress& address);
Result<void> ConnectOutcome(int fd, const TcpAddress& address);

}  // namespace raylet
