#include "client/ray/worker/actor_host.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "base/shm_segment.h"
#include "base/strings.h"
#include "tests/harness/daemon_process.h"

namespace raylet::client {
namespace {

// Answers with its function's name, as often as its first argument has bytes.
class Repeater final : public CallRunner {
 public:
  CallOutcome Call(const CallRequest& request, void*) override {
    ++calls;
    if (during) during();
    CallOutcome outcome;
    for (size_t i = 0; i < request.arguments.front().bytes.size(); ++i) outcome.bytes += request.function;
    return outcome;
  }
  int calls = 0;
  std::function<void()> during;
};

// The caller's end of a channel, and the actor's doorbell.
class Caller {
 public:
  Caller(ActorHost& host, ProcessId process) {
    auto fd = CreateMemfd("channel", ChannelBytes(), /*reserve=*/false);
    auto ours = Mapping::Map(fd->get(), ChannelBytes(), Mapping::Access::kReadWrite);
    InitChannel({ours->data(), ours->size()});
    const auto bell = [] {
      auto page = CreateMemfd("bell", sizeof(Doorbell), /*reserve=*/true);
      return *std::move(page);
    };
    auto hosted = std::make_unique<HostedChannel>();
    hosted->number = process;
    hosted->caller = process;
    hosted->memory = *ChannelMemory::Attach(*fd, bell(), /*relayed=*/false, ChannelMemory::End::kActor);
    channel = hosted.get();
    host.Open(std::move(hosted));
    memory = *ChannelMemory::Attach(*fd, bell(), /*relayed=*/false, ChannelMemory::End::kCaller);
    fd_ = *std::move(fd);
  }

  // False: the ring has no room.
  bool Call(std::string_view function, const std::string& argument) {
    CallRecord record;
    record.call = next_call;
    record.function = function;
    record.arguments.push_back({ValueView::Kind::kInline, argument, {}});
    const auto room = memory.producer.TryReserve(CallRecordBytes(record));
    if (!room) return false;
    WriteCallRecord(record, *room);
    memory.producer.Commit(static_cast<uint32_t>(CallRecordType::kCall), room->size());
    ++next_call;
    return true;
  }

  struct Taken {
    CallRecordType type{};
    uint64_t call = 0;
    size_t bytes = 0;
    std::string refusal;
  };
  std::optional<Taken> Take() {
    const auto record = memory.consumer.Peek();
    if (!record || !record->has_value()) return std::nullopt;
    Taken taken;
    taken.type = static_cast<CallRecordType>((*record)->type);
    if (taken.type == CallRecordType::kReply) {
      const auto reply = ParseReplyRecord((*record)->bytes);
      if (!reply) return std::nullopt;
      taken.call = reply->call;
      taken.bytes = reply->result.bytes.size();
    } else {
      taken.refusal.assign(reinterpret_cast<const char*>((*record)->bytes.data()), (*record)->bytes.size());
    }
    memory.consumer.Pop();
    return taken;
  }

  size_t resident_bytes() const {
    struct stat status {};
    EXPECT_EQ(::fstat(fd_.get(), &status), 0);
    return static_cast<size_t>(status.st_blocks) * 512;
  }

  HostedChannel* channel = nullptr;
  ChannelMemory memory;
  uint64_t next_call = 1;

 private:
  UniqueFd fd_;
};

class ActorHostTest : public ::testing::Test {
 protected:
  // Until there is nothing to do.
  void Serve() {
    while (host_.HasWork()) host_.ServeSome();
  }
  Ownership ownership_;
  Repeater runner_;
  ActorHost host_{ownership_, runner_};
};

const std::string kName(1000, 'f');
const std::string kSixty(60, 'x');  // so a reply has 60,000 bytes

TEST_F(ActorHostTest, RefusesACallerWhoseFunctionNameIsTooLongAndServesTheOthers) {
  Caller wild(host_, 7);
  Caller other(host_, 8);
  ASSERT_TRUE(wild.Call(std::string(200'000, 'f'), "x"));
  ASSERT_TRUE(other.Call("f", "x"));
  Serve();
  const auto refused = wild.Take();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->type, CallRecordType::kRefused);
  EXPECT_NE(refused->refusal.find("a function of 200000 bytes and the limit is 1024"), std::string::npos)
      << refused->refusal;
  EXPECT_TRUE(other.Take());
  EXPECT_EQ(runner_.calls, 1);
}

TEST_F(ActorHostTest, ReadsNoMoreOfACallerThatReadsNoReplies) {
  Caller lazy(host_, 7);
  Caller other(host_, 8);
  uint64_t submitted = 0;
  for (int round = 0; round < 100; ++round) {
    while (submitted < 20'000 && lazy.Call(kName, kSixty)) ++submitted;
    Serve();
  }
  const auto answered = static_cast<uint64_t>(runner_.calls);
  EXPECT_LT(lazy.channel->waiting_bytes, kWaitingRepliesBytesMax + kRecordBytesMax);
  EXPECT_LT(answered * 60'000, kWaitingRepliesBytesMax + kChannelRingBytes + kRecordBytesMax);
  EXPECT_GT(submitted, answered) << "the ring of calls is full";
  EXPECT_FALSE(host_.HasWork()) << "or it would spin";
  ASSERT_TRUE(other.Call("f", "xx"));
  Serve();
  const auto reply = other.Take();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->bytes, 2u);
  // The caller reads again: all replies come, in order.
  for (uint64_t call = 1; call <= submitted; ++call) {
    auto taken = lazy.Take();
    if (!taken) {
      Serve();
      taken = lazy.Take();
    }
    ASSERT_TRUE(taken) << call;
    ASSERT_EQ(taken->call, call);
    ASSERT_EQ(taken->bytes, 60'000u);
  }
  EXPECT_EQ(lazy.channel->waiting_bytes, 0u);
}

TEST_F(ActorHostTest, BoundsTheRepliesThatWaitForAllCallersTogether) {
  std::deque<Caller> callers;
  size_t waiting = 0;
  for (ProcessId process = 1; process <= 10; ++process) {
    Caller& caller = callers.emplace_back(host_, process);
    for (int i = 0; i < 200; ++i) static_cast<void>(caller.Call(kName, kSixty));
    Serve();
  }
  for (const Caller& caller : callers) waiting += caller.channel->waiting_bytes;
  EXPECT_LT(waiting, kAllWaitingRepliesBytesMax + callers.size() * kRecordBytesMax);
  // The replies that wait for a caller go with the caller.
  while (!callers.empty()) {
    host_.Close(callers.back().channel->number);
    callers.pop_back();
  }
  Caller next(host_, 99);
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(next.Call(kName, kSixty));
  Serve();
  EXPECT_GT(next.channel->waiting_bytes, 2u << 20) << "it may have as much as the first one";
}

TEST_F(ActorHostTest, TakesTheReleasesThatLieInAChannelThatItCloses) {
  Caller caller(host_, 7);
  const LendId lend = ownership_.Lend(7, Holds{std::make_shared<int>()});
  ASSERT_TRUE(caller.Call("f", "x"));
  std::array<std::byte, 8> release;
  WriteLendRecord(lend, release);
  ASSERT_TRUE(caller.memory.producer.TryPush(static_cast<uint32_t>(CallRecordType::kReleaseLend), release));
  host_.Close(7);
  EXPECT_EQ(ownership_.counts().lends, 0u);
  EXPECT_EQ(runner_.calls, 0) << "a call of a caller that has gone";
}

TEST_F(ActorHostTest, AThousandCallersCostTwoPagesEachUntilOneOfThemHasMoreUnderWay) {
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  std::deque<Caller> callers;
  for (ProcessId process = 1; process <= 1000; ++process) callers.emplace_back(host_, process);
  for (int round = 0; round < 200; ++round) {
    for (Caller& caller : callers) ASSERT_TRUE(caller.Call("f", "xxx"));
    Serve();
    for (Caller& caller : callers) ASSERT_TRUE(caller.Take());
  }
  for (const Caller& caller : callers) ASSERT_EQ(caller.resident_bytes(), 8192u);
  // A burst goes through at once.
  Caller& busy = callers.front();
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(busy.Call("f", "xxx"));
  Serve();
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(busy.Take());
  EXPECT_GT(busy.resident_bytes(), 400u << 10);
  EXPECT_EQ(callers.back().resident_bytes(), 8192u);
}

TEST_F(ActorHostTest, BeginsNoCallAndWritesNoReplyWhileItsLeaseDoesNotHold) {
  const auto in = [](Duration wait) {
    return static_cast<uint64_t>((SteadyClock().Now() + wait).time_since_epoch().count());
  };
  std::atomic<uint64_t> until{in(std::chrono::hours(1))};
  host_.SetInstance({}, 0, LeaseView(&until));
  Caller caller(host_, 7);
  Caller other(host_, 8);
  ASSERT_TRUE(caller.Call("f", "x"));
  EXPECT_EQ(host_.ServeSome(), ActorHost::Served::kSome);
  EXPECT_EQ(caller.Take()->call, 1u);

  until = 0;
  ASSERT_TRUE(caller.Call("f", "x"));
  EXPECT_FALSE(host_.MayServe());
  EXPECT_EQ(host_.ServeSome(), ActorHost::Served::kNothing);
  EXPECT_EQ(runner_.calls, 1);

  // The lease runs out during the second call.
  until = in(std::chrono::hours(1));
  runner_.during = [&] { until = 0; };
  ASSERT_TRUE(caller.Call("f", "x"));
  ASSERT_TRUE(other.Call("f", "x"));
  host_.ServeSome();
  EXPECT_EQ(runner_.calls, 2) << "the call that had begun, and no other one";
  EXPECT_FALSE(caller.Take());
  EXPECT_FALSE(other.Take());
  EXPECT_TRUE(host_.HasWork());

  runner_.during = {};
  until = in(std::chrono::hours(1));
  Serve();
  EXPECT_EQ(caller.Take()->call, 2u);
  EXPECT_EQ(caller.Take()->call, 3u);
  EXPECT_EQ(other.Take()->call, 1u);
  EXPECT_EQ(runner_.calls, 4);
}

// An actor of two threads. A call of the function "waits" ends once Let has been called as often.
class ThreadedHostTest : public ActorHostTest {
 protected:
  class Waiting final : public CallRunner {
   public:
    explicit Waiting(ThreadedHostTest& test) : test_(test) {}
    CallOutcome Call(const CallRequest& request, void*) override {
      const MutexLock lock(test_.mutex_);
      ++test_.begun_;
      test_.changed_.NotifyAll();
      if (request.function == "waits") {
        while (test_.may_end_ == 0) test_.changed_.Wait(test_.mutex_);
        --test_.may_end_;
      }
      CallOutcome outcome;
      outcome.bytes = request.function;
      outcome.exit_actor = request.function == "exits";
      return outcome;
    }

   private:
    ThreadedHostTest& test_;
  };
  ThreadedHostTest() {
    CallThreads::Options options;
    options.threads_max = 2;
    options.make_runner = [this] { return std::make_unique<Waiting>(*this); };
    options.when_done = [] {};
    host_.SetThreads(std::make_unique<CallThreads>(std::move(options)));
  }
  ~ThreadedHostTest() override {
    Let(100);
    host_.SetThreads(nullptr);
  }
  void Let(int calls) {
    const MutexLock lock(mutex_);
    may_end_ += calls;
    changed_.NotifyAll();
  }
  int Begun() {
    const MutexLock lock(mutex_);
    return begun_;
  }
  bool ServeUntil(const std::function<bool()>& condition) {
    return test::Eventually(std::chrono::seconds(60), [&] {
      Serve();
      return condition();
    });
  }

  Mutex mutex_;
  ConditionVariable changed_;
  int begun_ = 0;
  int may_end_ = 0;
};

TEST_F(ThreadedHostTest, AnswersInTheOrderInWhichCallsEnd) {
  Caller caller(host_, 7);
  ASSERT_TRUE(caller.Call("waits", "x"));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(caller.Call("f", "x"));
  for (uint64_t call = 2; call <= 4; ++call) {
    std::optional<Caller::Taken> taken;
    ASSERT_TRUE(ServeUntil([&] { return (taken = caller.Take()).has_value(); }));
    EXPECT_EQ(taken->call, call);
  }
  EXPECT_FALSE(host_.Idle());
  Let(1);
  std::optional<Caller::Taken> taken;
  ASSERT_TRUE(ServeUntil([&] { return (taken = caller.Take()).has_value(); }));
  EXPECT_EQ(taken->call, 1u);
  EXPECT_TRUE(host_.Idle());
}

TEST_F(ThreadedHostTest, LeavesCallsInTheRingWhileNoThreadIsFree) {
  Caller caller(host_, 7);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(caller.Call("waits", "x"));
  ASSERT_TRUE(ServeUntil([&] { return Begun() == 2; }));
  EXPECT_FALSE(host_.HasWork()) << "or it would spin";
  EXPECT_FALSE(caller.channel->memory.consumer.Empty());
  Let(1);
  ASSERT_TRUE(ServeUntil([&] { return Begun() == 3; }));
}

TEST_F(ThreadedHostTest, TakesCallersInTurn) {
  Caller greedy(host_, 7);
  Caller modest(host_, 8);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(greedy.Call("waits", "x"));
  ASSERT_TRUE(ServeUntil([&] { return Begun() == 2; }));
  ASSERT_TRUE(modest.Call("f", "x"));
  Let(2);
  ASSERT_TRUE(ServeUntil([&] { return modest.Take().has_value(); }));
}

TEST_F(ThreadedHostTest, DropsTheAnswerOfACallerThatHasGone) {
  auto caller = std::make_unique<Caller>(host_, 7);
  ASSERT_TRUE(caller->Call("waits", "x"));
  ASSERT_TRUE(ServeUntil([&] { return Begun() == 1; }));
  host_.Close(7);
  caller.reset();
  Let(1);
  EXPECT_TRUE(ServeUntil([&] { return host_.Idle(); }));
}

TEST_F(ThreadedHostTest, KeepsARelayedChannelUntilItsCallsHaveEnded) {
  Caller caller(host_, 7);
  caller.channel->relayed = true;
  ASSERT_TRUE(caller.Call("waits", "x"));
  ASSERT_TRUE(ServeUntil([&] { return Begun() == 1; }));
  host_.Close(7);
  EXPECT_EQ(host_.TakeReleased(), 0u);
  Let(1);
  ASSERT_TRUE(ServeUntil([&] { return host_.Idle(); }));
  EXPECT_TRUE(caller.Take()) << "its raylet looks at the result";
  EXPECT_EQ(host_.TakeReleased(), 7u);
}

TEST_F(ThreadedHostTest, SaysThatTheActorExitsAfterTheAnswersOfCallsThatEndedToo) {
  Caller caller(host_, 7);
  ASSERT_TRUE(caller.Call("exits", "x"));
  ActorHost::Served served = ActorHost::Served::kNothing;
  ASSERT_TRUE(test::Eventually(std::chrono::seconds(60), [&] {
    served = host_.ServeSome();
    return served == ActorHost::Served::kActorExits;
  }));
  EXPECT_FALSE(caller.Take());
}

TEST_F(ThreadedHostTest, BeginsNoCallWhileItsLeaseDoesNotHold) {
  std::atomic<uint64_t> until{0};
  host_.SetInstance({}, 0, LeaseView(&until));
  Caller caller(host_, 7);
  ASSERT_TRUE(caller.Call("f", "x"));
  EXPECT_EQ(host_.ServeSome(), ActorHost::Served::kNothing);
  EXPECT_EQ(Begun(), 0);
}

TEST_F(ActorHostTest, ServesNoChannelToAnotherIncarnation) {
  host_.SetInstance({}, 2, {});
  Caller late(host_, 7);
  ASSERT_TRUE(late.Call("f", "x"));
  EXPECT_FALSE(host_.HasWork());
  EXPECT_EQ(runner_.calls, 0);
}

}  // namespace
}  // namespace raylet::client
