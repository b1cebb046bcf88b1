// PeerToken: the secret that the raylets of one cluster share. A process that knows it can have
// code run as their user. It lies in a file that only its owner may read, as does the password of
// their control store. Main reads both once, at the start.
// Always holds: no token is empty, and every raylet has one.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace raylet {

constexpr size_t kTokenBytesMin = 16;
constexpr size_t kTokenBytesMax = 4096;

class PeerToken {
 public:
  PeerToken();  // a random one: a raylet with it meets no other
  // kInvalid for too few or too many bytes. `file` holds them, and log lines name it.
  static Result<PeerToken> FromBytes(std::string bytes, std::string file = {});

  const std::string& bytes() const { return bytes_; }
  const std::string& file() const { return file_; }  // empty: no file holds it

 private:
  PeerToken(std::string bytes, std::string file) : bytes_(std::move(bytes)), file_(std::move(file)) {}
  std::string bytes_;
  std::string file_;
};

// The bytes of the file, without line ends at its end. Each error names the command that helps. kNotFound. kInvalid:
// the file is too short or too long. kNotAllowed: another user owns the file or may use it, or it is a symbolic link.
Result<PeerToken> ReadTokenFile(const std::string& path);
// As above, but any length up to the same limit is valid, since the operator of the control store has chosen the
// password.
Result<std::string> ReadPasswordFile(const std::string& path);

// The path of this user's token: raylet/token below $XDG_CONFIG_HOME, or else below ~/.config.
Result<std::string> UserTokenPath();
// The token in that file. The first raylet of a user makes the file. Raylets that start together
// all get the same token.
Result<PeerToken> UserToken(const std::string& path);

}  // namespace raylet
