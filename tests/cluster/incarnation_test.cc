// No two incarnations of an actor serve at once, whatever is stopped or cut. The driver belongs to
// machine A, so A is the home of its actors. B runs the actor first, and C after it. Callers on all
// machines note each answer. All machines are this one, so their times are of one clock.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/net_machines.h"
#include "tests/harness/run_before_others.h"

namespace cluster_test {

int64_t NowNs() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// Adds "NUMBER PID TIME" to a file, whole or not at all.
void AddLine(const std::string& path, int number, int pid) {
  const std::string line = std::to_string(number) + " " + std::to_string(pid) + " " + std::to_string(NowNs()) + "\n";
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw std::runtime_error("no line could be added to " + path);
  ::close(fd);
}

// Counts in a file what it has run.
class Tally {
 public:
  static Tally* Create(const std::string& folder) { return new Tally(folder); }
  explicit Tally(std::string folder) : folder_(std::move(folder)) {}
  int Note(int number) {
    AddLine(folder_ + "/ran", number, ::getpid());
    return ::getpid();
  }

 private:
  std::string folder_;
};

// One call after the other until there is a file "stop"; notes who answered.
int CallOn(ray::ActorHandle<Tally> tally, const std::string& folder, const std::string& caller) {
  int number = 0;
  while (!std::filesystem::exists(folder + "/stop")) {
    try {
      const int pid = *tally.Task(&Tally::Note).Remote(++number).Get(60'000);
      AddLine(folder + "/heard." + caller, number, pid);
    } catch (const ray::internal::RayException&) {
      // It is about to start again, or has ended for this caller.
    }
    SleepMs(2);  // the pace of the calls, so that the notes stay short
  }
  return number;
}
RAY_REMOTE(Tally::Create, &Tally::Note, CallOn);

namespace {

using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::NetMachines;
using raylet::test::Network;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

// The lease is 1.5 s of these 2 s, so 500 ms lie between the last word of one incarnation and the first of the next.
const std::vector<std::string> kPatience = {"--peer-silent-after", "0.4", "--peer-dead-after", "2"};
const std::string kB = R"({"there": 4})", kC = R"({"there": 4, "yonder": 4})";

std::vector<std::string> Flags(const std::string& resources, std::vector<std::string> more) {
  more.insert(more.end(), {"--num-cpus", "2", "--resources", resources});
  return more;
}

class IncarnationTest : public ::testing::Test {
 protected:
  IncarnationTest() { raylet::test::RunBeforeOthers(); }

  struct Line {
    int number = 0, pid = 0;
    int64_t at = 0;
  };

  void TearDown() override { StopCallers(); }

  void InitAt(const Machine& machine) {
    ray::RayConfig config;
    config.address = machine.socket();
    ray::Init(config);
    initialized_ = true;
  }
  // The actor at B, which alone offers "there" so far, and its callers at A and B.
  void BeginAtB() {
    tally_ = ray::Actor(Tally::Create).SetResource("there", 1).SetMaxRestarts(-1).Remote(folder_.path());
    first_ = *tally_->Task(&Tally::Note).Remote(0).Get(20'000);
    here_ = std::thread([this] { CallOn(*tally_, folder_.path(), "a"); });
    CallFrom("there", "b");
  }
  // A caller on the machine that offers that resource.
  void CallFrom(const std::string& resource, const std::string& name) {
    calls_.push_back(ray::Task(CallOn).SetResource(resource, 1).SetMaxRetries(0).Remote(*tally_, folder_.path(), name));
    ASSERT_TRUE(Eventually(20s, [&] { return Heard(name, first_) > 10; })) << name;
  }
  void StopCallers() {
    std::ofstream(folder_.File("stop")).put('x');
    if (here_.joinable()) here_.join();
    if (std::exchange(initialized_, false)) {
      calls_.clear();
      tally_.reset();
      ray::Shutdown();
    }
  }

  std::vector<Line> Lines(const std::string& file) const {
    std::vector<Line> lines;
    std::ifstream in(folder_.File(file));
    for (Line line; in >> line.number >> line.pid >> line.at;) lines.push_back(line);
    return lines;
  }
  size_t Heard(const std::string& caller, int pid) const {
    const auto lines = Lines("heard." + caller);
    return static_cast<size_t>(std::count_if(lines.begin(), lines.end(), [&](const Line& l) { return l.pid == pid; }));
  }
  // The process of the second incarnation, once it serves that caller; 0: it does not come.
  int AwaitSecond(const std::string& caller) const {
    int pid = 0;
    const bool came = Eventually(30s, [&] {
      const auto lines = Lines("heard." + caller);
      if (lines.empty() || lines.back().pid == first_) return false;
      pid = lines.back().pid;
      return Heard(caller, pid) > 10;
    });
    return came ? pid : 0;
  }
  // Of the first incarnation nothing ran, and no answer was heard, once the second one had run something.
  void ExpectOneAfterTheOther(int second) const {
    int64_t begins = 0;
    for (const Line& line : Lines("ran"))
      if (line.pid == second && (begins == 0 || line.at < begins)) begins = line.at;
    ASSERT_NE(begins, 0);
    std::map<int, size_t> ran;
    for (const Line& line : Lines("ran")) {
      ++ran[line.pid];
      EXPECT_TRUE(line.pid != first_ || line.at < begins) << "call " << line.number << " ran in the replaced one";
    }
    EXPECT_EQ(ran.size(), 2u) << "two incarnations, and no third one";
    for (const std::string caller : {"a", "b", "c"})
      for (const Line& line : Lines("heard." + caller))
        EXPECT_TRUE(line.pid != first_ || line.at < begins) << "an answer to " << caller << " from the replaced one";
  }

  RunFolder folder_;
  std::optional<ray::ActorHandle<Tally>> tally_;
  std::vector<ray::ObjectRef<int>> calls_;
  std::thread here_;
  int first_ = 0;  // the process of the first incarnation
  bool initialized_ = false;
};

bool HasEnded(int pid) { return ::kill(pid, 0) != 0; }

TEST_F(IncarnationTest, AnActorWhoseRayletIsStoppedServesNobodyOnceItRunsElsewhere) {
  const std::string token = WriteToken(folder_);
  Machine a(token, Flags("{}", kPatience));
  auto flags = kPatience;
  flags.insert(flags.end(), {"--peers", a.address});
  Machine b(token, Flags(kB, flags));
  InitAt(a);
  BeginAtB();
  Machine c(token, Flags(kC, flags));
  CallFrom("yonder", "c");

  b.raylet->Signal(SIGSTOP);
  const int second = AwaitSecond("a");
  ASSERT_NE(second, 0);
  EXPECT_EQ(raylet::test::ParentOf(second), c.raylet->pid());
  EXPECT_FALSE(HasEnded(first_)) << "its raylet stands still, so it ended itself";
  EXPECT_EQ(AwaitSecond("c"), second);
  b.raylet->Signal(SIGCONT);
  EXPECT_TRUE(Eventually(20s, [&] { return HasEnded(first_); })) << "its home does not count it any more";
  const size_t before = Heard("a", second);
  EXPECT_TRUE(Eventually(20s, [&] { return Heard("a", second) > before + 10; }));
  StopCallers();
  ExpectOneAfterTheOther(second);
}

TEST_F(IncarnationTest, CallsWaitOnceTheLeaseHasRunOutAndGoOnWhenTheHomeIsHeardAgain) {
  const std::vector<std::string> patience = {"--peer-silent-after", "0.4", "--peer-dead-after", "4"};  // 3 s of lease
  const std::string token = WriteToken(folder_);
  Machine a(token, Flags("{}", patience));
  auto flags = patience;
  flags.insert(flags.end(), {"--peers", a.address});
  Machine b(token, Flags(kB, flags));
  InitAt(a);
  BeginAtB();

  const int64_t stopped = NowNs();
  b.raylet->Signal(SIGSTOP);
  const auto quiet = [&] {
    const int64_t now = NowNs();  // first: many lines take a while to read
    return now - std::max(Lines("ran").back().at, stopped + 3'000'000'000) > 200'000'000;  // the lease is over by then
  };
  ASSERT_TRUE(Eventually(20s, quiet)) << "it serves on without its home";
  const int64_t last = Lines("ran").back().at;
  const std::map<std::string, size_t> heard = {{"a", Heard("a", first_)}, {"b", Heard("b", first_)}};
  EXPECT_GT(last - stopped, 2'000'000'000) << "its caller on this machine needs no raylet while the lease holds";
  EXPECT_TRUE(quiet());
  b.raylet->Signal(SIGCONT);
  for (const auto& [caller, before] : heard)
    EXPECT_TRUE(Eventually(20s, [&, caller = caller, before = before] { return Heard(caller, first_) > before + 10; }))
        << caller;
  StopCallers();
  std::map<int, size_t> ran;
  for (const Line& line : Lines("ran")) ++ran[line.pid];
  EXPECT_EQ(ran.size(), 1u) << "nothing was replaced";
}

#ifdef RAYLET_NETWORK_TESTS
class CutIncarnationTest : public IncarnationTest {
 protected:
  void Begin() {
    InitAt(machines_.Start(0, Flags("{}", {})));
    machines_.Start(1, Flags(kB, {}));
    ASSERT_TRUE(machines_.Sees(0, 1, "up"));
    BeginAtB();
    machines_.Start(2, Flags(kC, {}));
    ASSERT_TRUE(machines_.Sees(0, 2, "up"));
    ASSERT_TRUE(machines_.Sees(1, 2, "up"));
    CallFrom("yonder", "c");
  }
  void End() {
    const int second = AwaitSecond("a");
    ASSERT_NE(second, 0);
    EXPECT_EQ(AwaitSecond("c"), second);
    EXPECT_TRUE(Eventually(20s, [&] { return HasEnded(first_); })) << "its host has given it up";
    StopCallers();
    ExpectOneAfterTheOther(second);
  }

  NetMachines machines_{3, kPatience};
};

// C hears both, and is told by the home that what it still hears of B counts no more.
TEST_F(CutIncarnationTest, AHostThatIsCutFromTheHomeAloneServesNobodyOnceTheActorRunsElsewhere) {
  Begin();
  machines_.network().Part(0, 1);
  End();
}

// The host hears its home all the time.
TEST_F(CutIncarnationTest, AHostThatTheHomeDoesNotHearServesNobodyOnceTheActorRunsElsewhere) {
  Begin();
  machines_.network().Drop(1, Network::Packets::kOut);
  ASSERT_TRUE(machines_.Sees(0, 1, "dead"));
  ASSERT_NE(AwaitSecond("a"), 0);
  machines_.network().Pass(1);
  End();
}

TEST_F(CutIncarnationTest, AHostThatDoesNotHearItsHomeServesNobodyOnceTheActorRunsElsewhere) {
  Begin();
  machines_.network().Drop(1, Network::Packets::kIn);
  ASSERT_TRUE(machines_.Sees(0, 1, "dead"));
  ASSERT_NE(AwaitSecond("a"), 0);
  machines_.network().Pass(1);
  End();
}
#endif

}  // namespace
}  // namespace cluster_test
