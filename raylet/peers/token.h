// The secret that the raylets of one cluster share, and the password of their control store: each a file that only its
// owner may read. Read once, at start, by main.
#pragma once

#include <string>

#include "base/result.h"

namespace raylet {

constexpr size_t kTokenBytesMin = 16;
constexpr size_t kTokenBytesMax = 4096;

// The bytes of the file without line ends behind them. kNotFound, kNotAllowed (others may read it, or it belongs to
// another user) and kInvalid (too short, too long), each with the command that helps.
Result<std::string> ReadTokenFile(const std::string& path);
// As that, but of any length up to the same limit: whoever set up the control store has chosen it.
Result<std::string> ReadPasswordFile(const std::string& path);

}  // namespace raylet
