#include "raylet/peers/token.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/counted.h"
#include "base/id.h"
#include "base/strings.h"
#include "base/unique_fd.h"

namespace raylet {
namespace {

// A kind of secret in a file, and the command that makes one.
struct Kind {
  const char* name;
  size_t bytes_min;
  const char* how_to_make;  // behind it comes the path, and a parenthesis
};
constexpr Kind kToken = {"token", kTokenBytesMin,
                         "make one for the whole cluster with: (umask 077; head -c 32 /dev/urandom | base64 > "};
constexpr Kind kPassword = {"password", 1,
                            "write the password that the control store wants into it with: (umask 077; cat > "};

std::string Octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

// Random bytes of a token that a raylet makes. The file holds them as hexadecimal digits.
constexpr size_t kTokenBytesDrawn = 32;

std::string DrawToken() {
  std::array<uint8_t, kTokenBytesDrawn> random{};
  FillRandom(random.data(), random.size());
  return ToHex(random.data(), random.size());
}

Result<std::string> Read(const Kind& kind, const std::string& path) {
  const std::string file = StrCat("the ", kind.name, " file ", path);
  const std::string how_to_make = StrCat(kind.how_to_make, path, ")");
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd) {
    if (errno == ELOOP) {
      return Fail(
          ErrorCode::kNotAllowed,
          StrCat(file, " is a symbolic link, which others may turn: name the file itself, or copy it to there"));
    }
    if (errno == ENOENT)
      return Fail(ErrorCode::kNotFound, StrCat("there is no ", kind.name, " file ", path, ": ", how_to_make));
    return Fail(errno == EACCES ? ErrorCode::kNotAllowed : ErrorCode::kIo,
                StrCat("cannot read ", file, ": ", std::strerror(errno)));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) return FailErrno(StrCat("cannot look at ", file), errno);
  if (!S_ISREG(status.st_mode)) return Fail(ErrorCode::kInvalid, StrCat(file, " is no file: ", how_to_make));
  if (status.st_uid != ::geteuid()) {
    return Fail(ErrorCode::kNotAllowed, StrCat(file, " belongs to user ", status.st_uid,
                                               ", who can change it: copy it to a file of user ", ::geteuid()));
  }
  if ((status.st_mode & 077) != 0) {
    return Fail(ErrorCode::kNotAllowed,
                StrCat(file, " has mode ", Octal(status.st_mode), ", so that others may use it: run chmod 600 ", path));
  }
  std::string secret(kTokenBytesMax + 1, '\0');
  size_t size = 0;
  while (size < secret.size()) {
    const ssize_t got = ::read(fd.get(), secret.data() + size, secret.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno(StrCat("cannot read ", file), errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  secret.resize(size);
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.size() < kind.bytes_min || size > kTokenBytesMax) {
    return Fail(ErrorCode::kInvalid, StrCat("the ", kind.name, " in ", path, " has ", Counted(secret.size(), "byte"),
                                            size > kTokenBytesMax ? " or more" : "", " and may have ", kind.bytes_min,
                                            " to ", kTokenBytesMax, ": ", how_to_make));
  }
  return secret;
}

std::string OwnFileHint() { return "; or name a file of your own with --token-file"; }

// A folder that only this user may use, made where it is missing.
Result<void> MakeOwnFolder(const std::string& folder) {
  const std::string parent = std::filesystem::path(folder).parent_path();
  if (::mkdir(parent.c_str(), 0700) < 0 && errno != EEXIST)
    return FailErrno(StrCat("cannot make the folder ", parent, " for the token", OwnFileHint()), errno);
  struct stat status {};
  if (::stat(parent.c_str(), &status) < 0) return FailErrno(StrCat("cannot look at ", parent), errno);
  if (status.st_uid != ::geteuid()) {
    return Fail(ErrorCode::kNotAllowed,
                StrCat("the token of user ", ::geteuid(), " does not belong into ", parent, ", the folder of user ",
                       status.st_uid, ": set HOME to that of user ", ::geteuid(), OwnFileHint()));
  }
  if (::mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST)
    return FailErrno(StrCat("cannot make the folder ", folder, " for the token", OwnFileHint()), errno);
  if (::lstat(folder.c_str(), &status) < 0) return FailErrno(StrCat("cannot look at ", folder), errno);
  if (!S_ISDIR(status.st_mode)) {
    return Fail(ErrorCode::kNotAllowed,
                StrCat(folder, ", where the token lies, is no folder: remove it", OwnFileHint()));
  }
  if (status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) {
    return Fail(ErrorCode::kNotAllowed,
                StrCat("the token's folder ", folder, " of user ", status.st_uid, " has mode ", Octal(status.st_mode),
                       ", so that others may use it: run chmod 700 ", folder, " as user ", ::geteuid(), OwnFileHint()));
  }
  return {};
}

Result<void> WriteAll(int fd, const std::string& text, const std::string& path) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t wrote = ::write(fd, text.data() + at, text.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return FailErrno(StrCat("cannot write ", path), errno);
    at += static_cast<size_t>(wrote);
  }
  if (::fsync(fd) < 0) return FailErrno(StrCat("cannot write ", path), errno);
  return {};
}

// The file appears as a whole. Of several raylets that make it, the first one wins: a link replaces
// nothing.
Result<void> MakeTokenFile(const std::string& path) {
  std::string part = StrCat(path, ".XXXXXX");
  const UniqueFd fd(::mkostemp(part.data(), O_CLOEXEC));  // of mode 0600
  if (!fd) return FailErrno(StrCat("cannot make the token file ", path, OwnFileHint()), errno);
  auto made = WriteAll(fd.get(), DrawToken() + "\n", part);
  if (made && ::link(part.c_str(), path.c_str()) < 0 && errno != EEXIST)
    made = FailErrno(StrCat("cannot make the token file ", path, OwnFileHint()), errno);
  ::unlink(part.c_str());
  return made;
}

}  // namespace

PeerToken::PeerToken() : bytes_(DrawToken()) {}

Result<PeerToken> PeerToken::FromBytes(std::string bytes, std::string file) {
  if (bytes.size() < kTokenBytesMin || bytes.size() > kTokenBytesMax) {
    return Fail(ErrorCode::kInvalid,
                StrCat("a token has ", kTokenBytesMin, " to ", kTokenBytesMax, " bytes, and not ", bytes.size()));
  }
  return PeerToken(std::move(bytes), std::move(file));
}

Result<PeerToken> ReadTokenFile(const std::string& path) {
  auto bytes = Read(kToken, path);
  if (!bytes) return Fail(bytes.error());
  return PeerToken::FromBytes(std::move(*bytes), path);
}

Result<std::string> ReadPasswordFile(const std::string& path) { return Read(kPassword, path); }

Result<std::string> UserTokenPath() {
  const char* const config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && config[0] == '/') return StrCat(config, "/raylet/token");
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') {
    const passwd* const user = ::getpwuid(::geteuid());  // the only thread: no loop runs yet
    home = user != nullptr ? user->pw_dir : nullptr;
  }
  if (home == nullptr || home[0] != '/') {
    return Fail(ErrorCode::kNotFound,
                StrCat("user ", ::geteuid(),
                       " has no home where the token of its raylets could lie: make one with "
                       "(umask 077; head -c 32 /dev/urandom | base64 > FILE), and say --token-file FILE"));
  }
  return StrCat(home, "/.config/raylet/token");
}

Result<PeerToken> UserToken(const std::string& path) {
  RAYLET_RETURN_IF_ERROR(MakeOwnFolder(std::filesystem::path(path).parent_path()));
  auto token = ReadTokenFile(path);
  if (token || token.error().code != ErrorCode::kNotFound) return token;
  RAYLET_RETURN_IF_ERROR(MakeTokenFile(path));
  return ReadTokenFile(path);
}

}  // namespace raylet
