// Node: a real raylet process beside a fake store, in a private folder. Owned by a test.
#pragma once

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tests/raylet/fake_store.h"
#include "tests/raylet/wire_process.h"

namespace raylet::test {

// The fake worker lies beside the test programs.
inline std::string FakeWorkerPath() {
  return std::filesystem::canonical("/proc/self/exe").parent_path() / "raylet_fake_worker";
}

class Node {
 public:
  explicit Node(std::vector<std::string> more = {"--num-cpus", "2"}) : store(folder.File("store")) {
    std::vector<std::string> arguments = {"--socket",           socket(),        "--store-socket",
                                          folder.File("store"), "--logs-folder", folder.File("logs")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto started = DaemonProcess::Start("raylet", arguments);
    if (!started) throw std::runtime_error(started.error().message);
    daemon.emplace(std::move(*started));
  }

  std::string socket() const { return folder.File("raylet"); }

  WireProcess Driver(std::vector<std::string> environment = {}) {
    WireOptions options;
    options.executable = FakeWorkerPath();
    options.arguments = {"fake"};
    options.environment = std::move(environment);
    auto driver = WireProcess::Register(socket(), options);
    if (!driver) throw std::runtime_error(driver.error().message);
    return std::move(*driver);
  }

  void Touch(const std::string& name) const { std::ofstream(folder.File(name)).put('x'); }

  RunFolder folder;
  FakeStore store;
  std::optional<DaemonProcess> daemon;
};

}  // namespace raylet::test
