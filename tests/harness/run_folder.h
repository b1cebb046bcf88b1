// RunFolder: a private folder (mode 0700) for one test's sockets and files, removed with all that is in it. Its path is
// short, so that sockets in it stay below the kernel's 107 bytes.
#pragma once

#include <string>

namespace raylet::test {

class RunFolder {
 public:
  RunFolder();
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace raylet::test
