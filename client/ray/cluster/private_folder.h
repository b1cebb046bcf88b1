// The folder of a program's private daemons: their sockets and logs. A killed program leaves it, with the logs.
#pragma once

#include <chrono>
#include <string>

namespace raylet::client {

// So many folders of killed programs stay. One that is younger than this may be of daemons that are being started.
constexpr size_t kLeftFoldersMax = 4;
constexpr std::chrono::seconds kFolderOfStartMax{60};

// A new folder of mode 0700, in TMPDIR, XDG_RUNTIME_DIR or /tmp: the first that is short enough for sockets and lets
// us. Removes what earlier programs left beside it. Throws RayException.
std::string MakePrivateFolder();

// Removes the folders in `base` that MakePrivateFolder made and whose daemons are gone, but for the newest ones.
void RemoveLeftFolders(const std::string& base);

}  // namespace raylet::client
