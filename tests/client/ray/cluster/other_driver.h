// OtherDriver: a driver in a process of its own (cluster_other.cc), which keeps references as a Keeper does. For tests.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "base/unique_fd.h"
#include "base/unix_socket.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {

class OtherDriver {
 public:
  OtherDriver(const std::string& raylet_socket, const std::string& actor_namespace)
      : orders_(MakePipe("orders")), answers_(MakePipe("answers")) {
    raylet::test::ProcessOptions options;
    options.environment = {{"RAY_ADDRESS", raylet_socket}};
    auto process = raylet::test::DaemonProcess::StartPlain(
        RAY_CLUSTER_OTHER, {folder_.File("orders"), folder_.File("answers"), actor_namespace}, options);
    if (!process) throw std::runtime_error(process.error().message);
    process_.emplace(*std::move(process));
  }
  // Returns what is wrong; empty: nothing.
  std::string Do(const std::string& order) {
    const std::string line = order + "\n";
    if (::write(orders_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
      return "the order cannot be written";
    const auto deadline = raylet::Deadline::After(std::chrono::seconds(60));
    std::string wrong;
    for (char each = 0;; wrong += each) {
      const auto readable = raylet::WaitReadable(answers_.get(), deadline);
      if (!readable || !*readable) return "the other driver does not answer: " + process_->Output();
      if (::read(answers_.get(), &each, 1) != 1) return "the answer cannot be read";
      if (each == '\n') return wrong;
    }
  }
  pid_t pid() const { return process_->pid(); }

 private:
  // Open for both, so that no end waits for the other one.
  raylet::UniqueFd MakePipe(const char* name) const {
    const std::string path = folder_.File(name);
    raylet::UniqueFd pipe;
    if (::mkfifo(path.c_str(), 0600) == 0) pipe = raylet::UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!pipe) throw std::runtime_error("no pipe can be made");
    return pipe;
  }

  raylet::test::RunFolder folder_;
  raylet::UniqueFd orders_, answers_;
  std::optional<raylet::test::DaemonProcess> process_;  // killed in the end
};

}  // namespace cluster_test
