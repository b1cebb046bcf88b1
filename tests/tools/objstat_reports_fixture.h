// ObjstatReportsTest: the written index with more clients, some of them processes that the test stops and ends. One
// thread.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/tools/objstat_fixture.h"
#include "tools/objstat/snapshot.h"

namespace raylet::objstat {

inline std::string Joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += text + "\n";
  return out;
}

// A process that the test stops and ends.
class OtherProcess {
 public:
  OtherProcess() : pid_(::fork()) {
    if (pid_ == 0) {
      for (;;) ::pause();
    }
  }
  ~OtherProcess() { End(); }
  void Stop() const {
    ::kill(pid_, SIGSTOP);
    ::waitpid(pid_, nullptr, WUNTRACED);
  }
  void End() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

class ObjstatReportsTest : public ObjstatTest {
 protected:
  void AddClient(uint32_t number, pid_t pid, const char* name, uint64_t owned_bytes = 0) {
    ClientRow& row = header().clients.get()[number];
    std::strcpy(row.name, name);
    row.pid = pid;
    row.owned_bytes = owned_bytes;
    row.number = number;
  }
  std::string IdOf(uint64_t entry) {
    for (const Object& object : Take().objects)
      if (object.entry == entry) return object.id.hex();
    ADD_FAILURE() << "no entry " << entry;
    return "";
  }
  OpenIndex Open() {
    auto open = OpenIndexOf(socket_);
    if (!open) {
      ADD_FAILURE() << open.error().message;
      std::abort();
    }
    return *std::move(open);
  }
};

}  // namespace raylet::objstat
