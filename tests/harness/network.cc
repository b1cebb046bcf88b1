#include "tests/harness/network.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "base/check.h"
#include "base/strings.h"

namespace raylet::test {
namespace {

Result<UniqueFd> NewNamespace() {
  UniqueFd made;
  int error = 0;
  // A namespace belongs to a thread; this one leaves it to its descriptor.
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) == 0) made = UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    error = errno;
  }).join();
  if (!made) return FailErrno("cannot make a network namespace, which takes root", error);
  // Past the numbers that a child moves its descriptors to.
  return UniqueFd(::fcntl(made.get(), F_DUPFD_CLOEXEC, 20));
}

// A line of shell in that namespace.
Result<void> Run(int network, const std::string& line) {
  ProcessOptions options;
  options.network = network;
  auto shell = DaemonProcess::StartPlain("/bin/sh", {"-ec", "PATH=/usr/sbin:/sbin:/usr/bin:/bin; " + line}, options);
  if (!shell) return Fail(shell.error());
  const auto end = shell->Wait(Deadline::AfterMs(60'000));
  if (end && end->exit_code == 0) return {};
  return Fail(
      ErrorCode::kNotAllowed,
      StrCat("a network for tests wants root, iproute2 and nftables (tools/packages): ", line, ": ", shell->Output()));
}

void MustRun(int network, const std::string& line) {
  const auto done = Run(network, line);
  RAYLET_CHECK(done, done ? "" : done.error().message);
}

std::string PathOf(int descriptor) { return StrCat("/proc/", ::getpid(), "/fd/", descriptor); }

}  // namespace

Result<Network> Network::Make(size_t hosts) {
  Network network;
  auto made = NewNamespace();
  if (!made) return Fail(ErrorCode::kNotAllowed, made.error().message);
  network.switch_ = std::move(*made);
  RAYLET_RETURN_IF_ERROR(Run(network.switch_.get(), "ip link add switch type bridge; ip link set switch up"));
  for (size_t host = 0; host < hosts; ++host) {
    made = NewNamespace();
    if (!made) return Fail(ErrorCode::kNotAllowed, made.error().message);
    const int own = made->get();
    network.hosts_.push_back(std::move(*made));
    RAYLET_RETURN_IF_ERROR(
        Run(network.switch_.get(), StrCat("ip link add port", host, " type veth peer name eth0 netns ", PathOf(own),
                                          "; ip link set port", host, " master switch up")));
    RAYLET_RETURN_IF_ERROR(Run(
        own, StrCat("ip link set lo up; ip address add ", network.Ip(host),
                    "/24 dev eth0; ip link set eth0 up; nft 'add table inet cut; add chain inet cut in { type filter "
                    "hook input priority 0; }; add chain inet cut out { type filter hook output priority 0; }'")));
  }
  return network;
}

std::string Network::Ip(size_t host) const { return StrCat("10.77.0.", host + 1); }

void Network::Set(size_t host, const std::string& state) {
  MustRun(switch_.get(), StrCat("ip link set port", host, " ", state));
}

void Network::Drop(size_t host, Packets which) {
  std::string rules;
  if (which != Packets::kOut) rules += "add rule inet cut in iifname eth0 drop; ";
  if (which != Packets::kIn) rules += "add rule inet cut out oifname eth0 drop; ";
  MustRun(Namespace(host), StrCat("nft '", rules, "'"));
}

void Network::Pass(size_t host) { MustRun(Namespace(host), "nft 'flush chain inet cut in; flush chain inet cut out'"); }

void Network::Part(size_t host, size_t other) {
  for (const auto& [at, from] : {std::pair{host, other}, {other, host}}) {
    MustRun(Namespace(at),
            StrCat("nft 'add chain inet cut apart { type filter hook input priority 0; }; add rule inet cut "
                   "apart ip saddr ",
                   Ip(from), " drop'"));
  }
}

std::vector<pid_t> Network::Processes(size_t host) const {
  struct stat own {};
  RAYLET_CHECK(::fstat(Namespace(host), &own) == 0, "a namespace has no inode");
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    struct stat of {};
    if (::stat((entry.path() / "ns/net").c_str(), &of) == 0 && of.st_ino == own.st_ino && of.st_dev == own.st_dev)
      found.push_back(std::stoi(pid));
  }
  return found;
}

void Network::KillAll(size_t host) const {
  const bool gone = Eventually(std::chrono::seconds(20), [&] {
    const std::vector<pid_t> left = Processes(host);
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    return left.empty();
  });
  RAYLET_CHECK(gone, "processes outlive kill -9");
}

}  // namespace raylet::test
