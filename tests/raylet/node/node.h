// Node: a real raylet process beside a fake store, or beside a real one, which raylets of a cluster need, in a private
// folder. Owned by a test.
#pragma once

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tests/raylet/node/fake_store.h"
#include "tests/raylet/node/wire_process.h"

namespace raylet::test {

// The fake worker lies beside the test programs.
inline std::string FakeWorkerPath() {
  return std::filesystem::canonical("/proc/self/exe").parent_path() / "raylet_fake_worker";
}

class Node {
 public:
  enum class Store { kFake, kReal };
  explicit Node(std::vector<std::string> more = {"--num-cpus", "2"}, Store kind = Store::kFake) {
    if (kind == Store::kFake)
      store.emplace(folder.File("store"));
    else
      real_store.emplace(Started("plasma_store", {"-m", "16M", "-s", folder.File("store")}));
    std::vector<std::string> arguments = {"--socket",           socket(),        "--store-socket",
                                          folder.File("store"), "--logs-folder", folder.File("logs")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    daemon.emplace(Started("raylet", std::move(arguments)));
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
  std::optional<FakeStore> store;
  std::optional<DaemonProcess> real_store;
  std::optional<DaemonProcess> daemon;

 private:
  static DaemonProcess Started(const std::string& program, std::vector<std::string> arguments) {
    auto started = DaemonProcess::Start(program, std::move(arguments));
    if (!started) throw std::runtime_error(started.error().message);
    return std::move(*started);
  }
};

}  // namespace raylet::test
