// Machine: a plasma_store and a raylet that share nothing with another Machine but the loopback interface and a token.
// Owned by a test or benchmark, whose driver is a program of the first one.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "client/plasma/store_client.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {

class Machine {
 public:
  // `flags` are the raylet's, beside those that every machine gets; `network` is that of its daemons.
  explicit Machine(const std::string& token_file, std::vector<std::string> flags, const std::string& memory = "128M",
                   int network = -1) {
    ProcessOptions options;
    options.network = network;
    store = std::make_unique<DaemonProcess>(
        Take(DaemonProcess::Start("plasma_store", {"-m", memory, "-s", store_socket()}, options)));
    std::vector<std::string> arguments = {"--socket",     socket(),        "--store-socket",
                                          store_socket(), "--logs-folder", folder.File("logs"),
                                          "--token-file", token_file};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    raylet = std::make_unique<DaemonProcess>(Take(DaemonProcess::Start("raylet", arguments, options)));
    // "raylet: serving SOCKET, N CPUs, other raylets at HOST:PORT"
    const std::string output = raylet->Output();
    const std::string mark = "other raylets at ";
    const size_t at = output.find(mark);
    if (at == std::string::npos) throw std::runtime_error("the raylet said no address: " + output);
    address = output.substr(at + mark.size(), output.find('\n', at) - at - mark.size());
  }
  std::string socket() const { return folder.File("raylet"); }
  std::string store_socket() const { return folder.File("store"); }
  // The output of `raylet status --json`; empty where there is none.
  nlohmann::json Status() const {
    auto command = DaemonProcess::StartPlain("raylet", {"status", "--json", "--timeout", "60", "--socket", socket()});
    if (!command || command->Wait(Deadline::AfterMs(60'000))->exit_code != 0) return {};
    return nlohmann::json::parse(command->Output(), nullptr, false);
  }
  size_t StoredObjects() const {
    const auto client =
        client::StoreClient::Connect(store_socket(), "test", Deadline::After(std::chrono::seconds(30)), false);
    if (!client) return ~size_t{0};
    const auto list = (*client)->List();
    return list ? list->size() : ~size_t{0};
  }

  // Objects with an owner. The others are copies, which go when room is needed.
  size_t OwnedObjects() const {
    const auto client =
        client::StoreClient::Connect(store_socket(), "test", Deadline::After(std::chrono::seconds(30)), false);
    if (!client) return ~size_t{0};
    const auto list = (*client)->List();
    if (!list) return ~size_t{0};
    return static_cast<size_t>(std::count_if(list->begin(), list->end(), [](const auto& each) { return each.owned; }));
  }

  RunFolder folder;
  std::unique_ptr<DaemonProcess> store;
  std::unique_ptr<DaemonProcess> raylet;
  std::string address;  // where other raylets reach it

 private:
  static DaemonProcess Take(Result<DaemonProcess> started) {
    if (!started) throw std::runtime_error(started.error().message);
    return *std::move(started);
  }
};

// The process that started this one.
inline int ParentOf(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  int parent = 0;
  for (int i = 0; i < 3; ++i) stat >> word;
  stat >> parent;
  return parent;
}

inline std::string WriteToken(const RunFolder& folder) {
  const std::string path = folder.File("token");
  std::ofstream(path) << "a token of the machines of a test\n";
  ::chmod(path.c_str(), 0600);
  return path;
}

}  // namespace raylet::test
