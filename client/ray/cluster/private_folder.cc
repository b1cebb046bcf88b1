#include "client/ray/cluster/private_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "base/unix_socket.h"

namespace raylet::client {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStart = "raylet-";
constexpr size_t kRandomLetters = 6;
constexpr size_t kBaseBytesMax = 60;  // a socket's path has 107 at most

bool IsServed(const std::string& socket) { return ConnectUnix(socket).has_value(); }

// When it was last changed, if this is a folder that MakePrivateFolder made for this user.
bool IsOurs(const fs::path& path, time_t& changed) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kStart) || name.size() != kStart.size() + kRandomLetters) return false;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return false;
  if (status.st_uid != ::geteuid() || (status.st_mode & 0777) != 0700) return false;
  changed = status.st_mtime;
  std::error_code error;
  return fs::is_directory(path / "logs", error);
}

}  // namespace

void RemoveLeftFolders(const std::string& base) {
  std::vector<std::pair<time_t, fs::path>> left;
  const time_t youngest = std::time(nullptr) - kFolderOfStartMax.count();
  std::error_code error;
  for (fs::directory_iterator entry(base, error), end; !error && entry != end; entry.increment(error)) {
    time_t changed = 0;
    if (!IsOurs(entry->path(), changed) || changed > youngest) continue;
    const std::string folder = entry->path().string();
    if (!IsServed(folder + "/raylet.sock") && !IsServed(folder + "/store.sock"))
      left.emplace_back(changed, entry->path());
  }
  std::sort(left.rbegin(), left.rend());  // the newest first
  for (size_t i = kLeftFoldersMax; i < left.size(); ++i) fs::remove_all(left[i].second, error);
}

std::string MakePrivateFolder() {
  std::vector<std::string> bases;
  for (const char* const name : {"TMPDIR", "XDG_RUNTIME_DIR"})
    if (const char* base = std::getenv(name); base != nullptr && *base == '/' && std::strlen(base) < kBaseBytesMax)
      bases.emplace_back(base);
  bases.emplace_back("/tmp");
  int reason = 0;
  for (const std::string& base : bases) {
    std::string path = StrCat(base, "/", kStart, std::string(kRandomLetters, 'X'));
    if (::mkdtemp(path.data()) != nullptr) {  // mode 0700
      RemoveLeftFolders(base);
      return path;
    }
    reason = errno;
  }
  throw ray::internal::RayException(
      StrCat("no private run folder could be made in ", bases.front(), " or /tmp: ", std::strerror(reason)));
}

}  // namespace raylet::client
