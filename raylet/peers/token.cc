#include "raylet/peers/token.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/strings.h"
#include "base/unique_fd.h"

namespace raylet {
namespace {

// A secret in a file, and how one comes to have it.
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

Result<std::string> Read(const Kind& kind, const std::string& path) {
  const std::string file = StrCat("the ", kind.name, " file ", path);
  const std::string how_to_make = StrCat(kind.how_to_make, path, ")");
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT)
      return Fail(ErrorCode::kNotFound, StrCat("there is no ", kind.name, " file ", path, ": ", how_to_make));
    return Fail(errno == EACCES ? ErrorCode::kNotAllowed : ErrorCode::kIo,
                StrCat("cannot read ", file, ": ", std::strerror(errno)));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) return FailErrno(StrCat("cannot look at ", file), errno);
  if (!S_ISREG(status.st_mode)) return Fail(ErrorCode::kInvalid, StrCat(file, " is no file"));
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
    return Fail(ErrorCode::kInvalid, StrCat("the ", kind.name, " in ", path, " has ", secret.size(),
                                            size > kTokenBytesMax ? " bytes or more" : " bytes", " and may have ",
                                            kind.bytes_min, " to ", kTokenBytesMax, ": ", how_to_make));
  }
  return secret;
}

}  // namespace

Result<std::string> ReadTokenFile(const std::string& path) { return Read(kToken, path); }

Result<std::string> ReadPasswordFile(const std::string& path) { return Read(kPassword, path); }

tl::unexpected<Error> NeedsToken(const std::string& what, const TcpAddress& address) {
  return Fail(ErrorCode::kNotAllowed, StrCat(what, " ", address.text(),
                                             ", which is no loopback address, needs a token that all raylets of the "
                                             "cluster share: name its file with --token-file, or use 127.0.0.1"));
}

}  // namespace raylet
