#include "raylet/peer_token.h"

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

std::string HowToMake(const std::string& path) {
  return StrCat("make one for the whole cluster with: (umask 077; head -c 32 /dev/urandom | base64 > ", path, ")");
}

std::string Octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

}  // namespace

Result<std::string> ReadTokenFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT)
      return Fail(ErrorCode::kNotFound, StrCat("there is no token file ", path, ": ", HowToMake(path)));
    return Fail(errno == EACCES ? ErrorCode::kNotAllowed : ErrorCode::kIo,
                StrCat("cannot read the token file ", path, ": ", std::strerror(errno)));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) return FailErrno(StrCat("cannot look at the token file ", path), errno);
  if (!S_ISREG(status.st_mode)) return Fail(ErrorCode::kInvalid, StrCat("the token file ", path, " is no file"));
  if (status.st_uid != ::geteuid()) {
    return Fail(ErrorCode::kNotAllowed, StrCat("the token file ", path, " belongs to user ", status.st_uid,
                                               ", who can change it: copy it to a file of user ", ::geteuid()));
  }
  if ((status.st_mode & 077) != 0) {
    return Fail(ErrorCode::kNotAllowed, StrCat("the token file ", path, " has mode ", Octal(status.st_mode),
                                               ", so that others may use it: run chmod 600 ", path));
  }
  std::string token(kTokenBytesMax + 1, '\0');
  size_t size = 0;
  while (size < token.size()) {
    const ssize_t got = ::read(fd.get(), token.data() + size, token.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno(StrCat("cannot read the token file ", path), errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  token.resize(size);
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.size() < kTokenBytesMin || size > kTokenBytesMax) {
    return Fail(ErrorCode::kInvalid, StrCat("the token in ", path, " has ", token.size(),
                                            size > kTokenBytesMax ? " bytes or more" : " bytes", " and may have ",
                                            kTokenBytesMin, " to ", kTokenBytesMax, ": ", HowToMake(path)));
  }
  return token;
}

}  // namespace raylet
