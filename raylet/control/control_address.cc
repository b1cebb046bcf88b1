#include "raylet/control/control_address.h"

#include <charconv>
#include <optional>

#include "base/strings.h"

namespace raylet {
namespace {

constexpr size_t kUnixPathBytesMax = 107;

// Never shows the text, which may hold a password.
tl::unexpected<Error> Wrong(const std::string& what) {
  return Fail(ErrorCode::kInvalid, StrCat("the control store's address ", what,
                                          ": write it as redis://host:port, redis://user:password@host:port or "
                                          "unix:///path/of/socket"));
}

// %41 means A, so that a password may hold any byte.
std::optional<std::string> Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain.push_back(text[i]);
      continue;
    }
    uint8_t byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const char* const end = text.data() + i + 3;
    const auto [stop, error] = std::from_chars(text.data() + i + 1, end, byte, 16);
    if (error != std::errc() || stop != end) return std::nullopt;
    plain.push_back(static_cast<char>(byte));
    i += 2;
  }
  return plain;
}

}  // namespace

std::string ControlAddress::Shown() const {
  if (host.empty()) return StrCat("unix://", path);
  const bool v6 = host.find(':') != std::string::npos;
  return StrCat("redis://", v6 ? "[" : "", host, v6 ? "]" : "", ":", port);
}

Result<ControlAddress> ParseControlAddress(std::string_view text) {
  constexpr std::string_view kRedis = "redis://", kUnix = "unix://";
  if (text.starts_with("rediss://")) return Wrong("asks for TLS, which raylets do not speak yet");
  const bool redis = text.starts_with(kRedis);
  if (!redis && !text.starts_with(kUnix)) return Wrong("begins with neither redis:// nor unix://");
  text.remove_prefix(redis ? kRedis.size() : kUnix.size());

  ControlAddress address;
  if (const size_t at = text.rfind('@'); at != std::string_view::npos) {
    const std::string_view who = text.substr(0, at);
    const size_t colon = who.find(':');
    const auto user = Unescape(who.substr(0, colon));
    const auto password = Unescape(colon == std::string_view::npos ? "" : who.substr(colon + 1));
    if (!user || !password) return Wrong("has a % that no two hex digits follow");
    if (password->empty() != (colon == std::string_view::npos)) return Wrong("has an empty password");
    if (user->empty() && password->empty()) return Wrong("has an empty user");
    address.user = *user;
    address.password = *password;
    text.remove_prefix(at + 1);
  }
  if (!redis) {
    if (!text.starts_with('/') || text.size() > kUnixPathBytesMax)
      return Wrong(StrCat("needs an absolute path of at most ", kUnixPathBytesMax, " bytes"));
    address.path = text;
    return address;
  }
  if (text.ends_with('/')) text.remove_suffix(1);
  if (text.find('/') != std::string_view::npos) return Wrong("ends with a database, of which there is one");
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return Wrong("has a [ without its ]");
    address.host = text.substr(1, close - 1);
    port = text.substr(close + 1);
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    address.host = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (address.host.empty()) return Wrong("has no host");
  if (!port.empty()) {
    const char* const end = port.data() + port.size();
    const auto [stop, error] = std::from_chars(port.data() + 1, end, address.port);
    if (port.front() != ':' || error != std::errc() || stop != end || address.port == 0)
      return Wrong("has no port from 1 to 65535 behind its host");
  }
  return address;
}

}  // namespace raylet
