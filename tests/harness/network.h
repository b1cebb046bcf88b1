// Network: hosts with an address each, joined by a switch, every one in a network namespace of its own; a test cuts and
// heals their links. Owned by a test. The namespaces have no names. So they end with the test program and the programs
// that it started there, and any number of such tests can run at once. Needs root.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "tests/harness/daemon_process.h"

namespace raylet::test {

class Network {
 public:
  // kNotAllowed where this machine gives no namespaces to us, or none with a switch in them.
  static Result<Network> Make(size_t hosts);

  size_t size() const { return hosts_.size(); }
  std::string Ip(size_t host) const;
  // For ProcessOptions::network.
  int Namespace(size_t host) const { return hosts_[host].get(); }

  // Cuts the cable. Packets under way are lost, and the host's own end loses its carrier.
  void Cut(size_t host) { Set(host, "down"); }
  void Heal(size_t host) { Set(host, "up"); }
  // A filter that says nothing: neither end can see that packets vanish.
  enum class Packets { kIn, kOut, kBoth };
  void Drop(size_t host, Packets which = Packets::kBoth);
  void Pass(size_t host);
  // Drops every packet between these two hosts, both ways, for good. Other hosts reach both.
  void Part(size_t host, size_t other);

  // Every process of that host, and kill -9 of them all until none is left.
  std::vector<pid_t> Processes(size_t host) const;
  void KillAll(size_t host) const;

 private:
  Network() = default;
  void Set(size_t host, const std::string& state);

  UniqueFd switch_;
  std::vector<UniqueFd> hosts_;
};

}  // namespace raylet::test
