// NetMachines: machines on hosts of a Network, joined by a token. The first machine is that of the driver, the test
// program itself. The driver reaches its raylet by a Unix socket. Every other path leads over cables that a test cuts.
// One thread.
#pragma once

#include "tests/cluster/machines.h"
#include "tests/harness/network.h"

namespace raylet::test {

// Flags of raylets that call each other dead soon.
inline const std::vector<std::string> kShortPatience = {"--peer-silent-after", "0.5", "--peer-dead-after", "1.5"};

class NetMachines {
 public:
  // `patience` are flags of all raylets, about how long they wait for each other.
  explicit NetMachines(size_t hosts, std::vector<std::string> patience = {})
      : patience_(std::move(patience)), network_(Made(Network::Make(hosts))), machines_(hosts) {}

  // Starts both daemons of that host. All know the first one's address, and it knows the second one's.
  Machine& Start(size_t host, std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--node-ip", network_.Ip(host), "--port", "7000"});
    flags.insert(flags.end(), patience_.begin(), patience_.end());
    // A star of addresses is enough: the first one makes the others known to each other.
    flags.insert(flags.end(), {"--peers", Address(host == 0 ? 1 : 0)});
    machines_[host] = std::make_unique<Machine>(token_, std::move(flags), "64M", network_.Namespace(host));
    return *machines_[host];
  }
  // Of two CPUs, and what asks for "there" or "yonder" runs at all but the first.
  Machine& StartWorking(size_t host, std::vector<std::string> flags = {}) {
    flags.insert(flags.end(), {"--num-cpus", "2"});
    if (host != 0) flags.insert(flags.end(), {"--resources", R"({"there": 2, "yonder": 2})"});
    return Start(host, std::move(flags));
  }
  // kill -9 of everything that runs on that host.
  void Destroy(size_t host) {
    network_.KillAll(host);
    machines_[host].reset();
  }

  Network& network() { return network_; }
  Machine& operator[](size_t host) { return *machines_[host]; }
  std::string Address(size_t host) const { return network_.Ip(host) + ":7000"; }

  nlohmann::json Status(size_t host) const { return machines_[host]->Status(); }
  // The state of `other` at the raylet of `host`: up, silent, dead, or nothing. Of several nodes at that address the
  // liveliest counts.
  std::string StateOf(size_t host, size_t other) const {
    std::string best;
    const auto status = Status(host);
    for (const auto& peer : status.value("peers", nlohmann::json::array()))
      if (peer.value("address", "") == Address(other)) best = std::max(best, peer.value("state", ""));
    static_assert(std::string_view("up") > "silent" && std::string_view("silent") > "dead");
    return best;
  }
  bool Sees(size_t host, size_t other, const std::string& state) const {
    return Eventually(std::chrono::seconds(60), [&] {
      if (StateOf(host, other) == state) return true;
      const timespec pause{0, 20'000'000};  // each question is a process
      ::nanosleep(&pause, nullptr);
      return false;
    });
  }

  RunFolder folder;

 private:
  static Network Made(Result<Network> network) {
    if (!network) throw std::runtime_error(network.error().message);
    return *std::move(network);
  }

  const std::string token_ = WriteToken(folder);
  const std::vector<std::string> patience_;
  Network network_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace raylet::test
