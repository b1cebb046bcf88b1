#include "base/check.h"

#include <cstdlib>
#include <string_view>

#include <unistd.h>

namespace raylet {
namespace {

// "base/ring.cc": the room and the file, without the folder that the build happened in.
std::string_view RoomAndFile(std::string_view path) {
  const size_t file = path.rfind('/');
  if (file == std::string_view::npos || file == 0) return path;
  const size_t room = path.rfind('/', file - 1);
  return room == std::string_view::npos ? path : path.substr(room + 1);
}

}  // namespace

void CheckFailed(const char* file, int line, const char* condition, const std::string& message) {
  const std::string text = StrCat("raylet: bug at ", RoomAndFile(file), ":", line, ": expected ", condition,
                                  message.empty() ? "" : ": ", message, "\n");
  // Bypasses the log and its locks: the thread that holds them may be the one that failed.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  std::abort();
}

}  // namespace raylet
