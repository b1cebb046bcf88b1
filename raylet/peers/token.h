// The secret that the raylets of one cluster share, and the password of their control store: each a
// file that only its owner may read. Read once, at start, by main.
#pragma once

#include <string>

#include "base/result.h"
#include "base/tcp_socket.h"

namespace raylet {

constexpr size_t kTokenBytesMin = 16;
constexpr size_t kTokenBytesMax = 4096;

// The bytes of the file without line ends behind them. kNotFound; kNotAllowed: others may read it,
// or it belongs to another user. kInvalid: too short or too long. Each error names the command that
// helps.
Result<std::string> ReadTokenFile(const std::string& path);
// As above, but of any length up to the same limit: whoever set up the control store has chosen it.
Result<std::string> ReadPasswordFile(const std::string& path);

// kNotAllowed: `what` the raylet does at an address beyond loopback needs a token.
tl::unexpected<Error> NeedsToken(const std::string& what, const TcpAddress& address);

}  // namespace raylet
