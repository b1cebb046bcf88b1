// ControlAddress: where a cluster's Redis is, in the form of --control. Either
// redis://[user[:password]@]host[:port], or unix://[user[:password]@]/path/of/socket. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace raylet {

constexpr uint16_t kRedisPort = 6379;
constexpr const char* kControlUser = "raylet";  // the user in a Redis that a head raylet keeps

struct ControlAddress {
  std::string host;  // without brackets; empty: a Unix socket
  uint16_t port = kRedisPort;
  std::string path;      // of a Unix socket
  std::string user;      // empty: Redis's default user
  std::string password;  // empty beside a user: the password comes from elsewhere

  std::string Shown() const;  // for people: without user and password
  friend bool operator==(const ControlAddress&, const ControlAddress&) = default;
};

// kInvalid, with the expected form.
Result<ControlAddress> ParseControlAddress(std::string_view text);

}  // namespace raylet
