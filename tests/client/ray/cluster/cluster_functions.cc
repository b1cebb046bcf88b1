#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/harness/await_file.h"
#include "tests/harness/daemon_process.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/ring.h"
#include "base/waiter.h"
#include "fbs/call_record.h"

namespace cluster_test {

int WorkerPid() { return ::getpid(); }
int ParentPid() { return ::getppid(); }
int WorkerPidAfterMs(int ms) {
  SleepMs(ms);
  return ::getpid();
}
int WorkerPidAfterAnother() {
  ray::Task(WorkerPid).Remote().Get();
  return ::getpid();
}
int DieWithSignal(int signal) {
  ::kill(::getpid(), signal);
  return SleepMs(10'000);
}
int SleepMs(int ms) {
  const timespec pause{ms / 1000, (ms % 1000) * 1'000'000L};
  ::nanosleep(&pause, nullptr);
  return ms;
}
int OneOnceThereIs(const std::string& path) {
  raylet::test::AwaitFile(path);
  return 1;
}
int PidOnceThereAre(const std::string& folder, int count) {
  const std::string own = folder + "/" + std::to_string(::getpid());
  std::ofstream(own + ".here").put('x');
  const bool all = raylet::test::Eventually(std::chrono::minutes(1), [&] {
    const std::filesystem::directory_iterator files(folder);
    return std::distance(begin(files), end(files)) >= count;
  });
  return all ? ::getpid() : 0;
}
int StubbornSleep(int ms) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  return SleepMs(ms);
}
int PutOnceToldTo(const std::string& path) {
  std::ofstream(path + "." + std::to_string(::getpid())) << "begins" << std::endl;
  while (::access((path + ".put").c_str(), F_OK) != 0) SleepMs(2);
  const auto put = ray::Put(std::string(300'000, 'x'));
  return ::getpid();
}
int WaitForATask(int ms) {
  return static_cast<int>(ray::Wait(std::vector{ray::Task(SleepMs).Remote(ms)}, 1, -1).ready.size());
}
std::vector<int64_t> Occupy(int ms) {
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); };
  const int64_t start = now();
  SleepMs(ms);
  return {start, now()};
}
int NestedSum(int depth) {
  if (depth == 0) return 1;
  return 1 + *ray::Task(NestedSum).Remote(depth - 1).Get();
}
int CloseDescriptors() {
  for (int fd = 3; fd < 1024; ++fd) ::close(fd);
  return 1;
}
int SumByThreads(int count) {
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int i = 1; i <= count; ++i) threads.emplace_back([&sum, i] { sum += *ray::Task(Add).Remote(i, 0).Get(); });
  for (std::thread& thread : threads) thread.join();
  return sum;
}
int SumOfRefs(const std::vector<ray::ObjectRef<int>>& refs) {
  int sum = 0;
  for (const auto& ref : refs) sum += *ref.Get();
  return sum;
}
ray::Array<float> Ramp(int count) {
  ray::MutableArray<float> array(count);
  for (int i = 0; i < count; ++i) array[static_cast<size_t>(i)] = static_cast<float>(i);
  return array;
}
float SumArray(const ray::Array<float>& array) {
  float sum = 0;
  for (const float value : array) sum += value;
  return sum;
}
float SumArrays(const std::vector<ray::ObjectRef<ray::Array<float>>>& arrays) {
  float sum = 0;
  for (const auto& array : ray::Get(arrays)) sum += SumArray(*array);
  return sum;
}
int64_t ArenaOffset(const ray::Array<float>& array) {
  const auto address = reinterpret_cast<uintptr_t>(array.data());
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0, end = 0, offset = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx", &start, &end, access, &offset) != 4) continue;
    if (address < start || address >= end) continue;
    const bool ours = line.find("/memfd:plasma-arena") != std::string::npos && access == std::string("r--s");
    return ours ? static_cast<int64_t>(offset + address - start) : -1;
  }
  return -1;
}
int Counter::AddInTasks(int count) {
  for (int i = 0; i < count; ++i) AddInATask(1);
  return value_;
}
int Record(const std::string& path, int number) {
  const std::string line = std::to_string(number) + "\n";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0 || ::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw std::runtime_error("cannot write " + path);
  ::close(fd);
  return number;
}
int Counter::AddInATask(int by) { return value_ = *ray::Task(Add).Remote(value_, by).Get(); }
int Counter::Pid() const { return ::getpid(); }
void Publisher::Publish(int value) {
  ray::MutableArray<float> next(count_);
  for (float& each : next) each = static_cast<float>(value);
  current_ = std::move(next).Seal();
}
int Witness::Pid() const { return ::getpid(); }

namespace {

// The addresses at which this process maps the shared memory of this name.
std::vector<std::byte*> MappingsOf(const std::string& name) {
  std::vector<std::byte*> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:" + name) == std::string::npos) continue;
    found.push_back(reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16)));
  }
  return found;
}

}  // namespace

int Vandal::SpoilReplies(int ms) {
  for (std::byte* const channel : MappingsOf("raylet-channel-")) {
    auto* const replies = reinterpret_cast<raylet::RingHeader*>(channel + raylet::ChannelReplyRingOffset());
    replies->tail.store(replies->head.load() + 2 * raylet::kChannelRingBytes);
  }
  for (std::byte* const bell : MappingsOf("raylet-doorbell")) raylet::Ring(*reinterpret_cast<raylet::Doorbell*>(bell));
  return SleepMs(ms);
}

int SpoilLastCalls() {
  int spoiled = 0;
  for (std::byte* const channel : MappingsOf("raylet-channel-")) {
    auto* const calls = reinterpret_cast<raylet::RingHeader*>(channel);
    auto* const data = channel + sizeof(raylet::RingHeader);
    const uint64_t end = calls->tail.load();
    const uint64_t base = calls->base.load();
    uint64_t last = calls->head.load();  // of the call under way, or of one that was answered just now
    for (uint64_t next = last; next < end;) {
      last = next;
      uint32_t size = 0;
      std::memcpy(&size, data + (next - base) % raylet::kChannelRingBytes, sizeof size);
      next += 8 + (size + 7) / 8 * 8;
    }
    if (last == end) continue;
    std::memset(data + (last - base) % raylet::kChannelRingBytes, 0xff, 8);
    ++spoiled;
  }
  return spoiled;
}

int PushCalls(const std::string& function, const raylet::ValueView& argument) {
  int pushed = 0;
  raylet::CallRecord record;
  record.call = uint64_t{1} << 40;
  record.function = function;
  record.arguments.push_back(argument);
  std::vector<std::byte> bytes(raylet::CallRecordBytes(record));
  raylet::WriteCallRecord(record, bytes);
  for (std::byte* const channel : MappingsOf("raylet-channel-")) {
    auto calls = raylet::RingProducer::Attach(raylet::RingsOf({channel, raylet::ChannelBytes()}).calls);
    if (calls && calls->TryPush(static_cast<uint32_t>(raylet::CallRecordType::kCall), bytes)) ++pushed;
  }
  return pushed;
}

int CallThrough(ray::ActorHandle<Counter> counter, int by) {
  return *counter.Task(&Counter::Increment).Remote(by).Get();
}
std::vector<ray::ObjectRef<int>> CallAndForget(ray::ActorHandle<Counter> counter, int ms) {
  std::vector<ray::ObjectRef<int>> results{counter.Task(&Counter::Sleep).Remote(ms)};
  for (int i = 0; i < 100; ++i) results.push_back(counter.Task(&Counter::Increment).Remote(1));
  return results;
}
std::vector<ray::ObjectRef<int>> CallByIdAndForget(const std::string& id, int ms) {
  const ray::ActorHandle<Counter> counter(id);
  counter.Task(&Counter::Value).Remote().Get();  // from now on calls go into the ring at once
  return CallAndForget(counter, ms);
}
int WaitThrough(const std::vector<ray::ObjectRef<int>>& refs, ray::ActorHandle<Counter> signal, int ms) {
  signal.Task(&Counter::Increment).Remote(1).Get();
  return static_cast<int>(ray::Wait(refs, 1, ms).ready.size());
}
int SleepThrough(ray::ActorHandle<Counter> counter, ray::ActorHandle<Counter> signal, int ms) {
  signal.Task(&Counter::Increment).Remote(1).Get();
  return *counter.Task(&Counter::Sleep).Remote(ms).Get();
}
bool MeetAnother(ray::ActorHandle<Counter> signal, int count) {
  int seen = *signal.Task(&Counter::Increment).Remote(1).Get();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (seen < count && std::chrono::steady_clock::now() < deadline)
    seen = *signal.Task(&Counter::Value).Remote().Get();
  return seen >= count;
}

RAY_REMOTE(Add, Repeat, Length, ThrowTask, Nothing, WorkerPid, ParentPid, WorkerPidAfterMs, DieWithSignal, SleepMs,
           NestedSum, SumByThreads, LengthOfRefs, ThrowLongText, CloseDescriptors, ShutDownHere, SumOfRefs, Ramp,
           SumArray);
RAY_REMOTE(&Counter::AddInTasks, Record);
RAY_REMOTE(StubbornSleep, WorkerPidAfterAnother, WaitForATask, OneOnceThereIs, PidOnceThereAre, Occupy, ArenaOffset,
           PutOnceToldTo, SumArrays);
RAY_REMOTE(Counter::Create, Counter::CreateSlowly, Counter::Broken, &Counter::Length, &Counter::LengthOfBoth,
           &Counter::Increment, &Counter::AddInATask, &Counter::Value, &Counter::Pid, &Counter::Throw,
           &Counter::ThrowLong, &Counter::Sleep, &Counter::AwaitFile, &Counter::Echo, &Counter::Log, &Counter::Append,
           &Counter::Exit);
RAY_REMOTE(Publisher::Create, &Publisher::Current, &Publisher::Offset, &Publisher::Publish, &Publisher::Take,
           &Publisher::MeasureSlowly, &Publisher::Drop, &Publisher::Kept, CallThrough, CallAndForget, CallByIdAndForget,
           SleepThrough, WaitThrough, MeetAnother);
RAY_REMOTE(Witness::Create, &Witness::RestartedInConstructor, &Witness::Restarted, &Witness::Pid, RestartedInATask);
RAY_REMOTE(Vandal::Create, &Vandal::SpoilReplies, &Vandal::Value);

}  // namespace cluster_test
