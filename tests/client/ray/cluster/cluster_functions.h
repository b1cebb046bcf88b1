// The functions that tests of the cluster runtime run in workers, in the test program and in its driver program.
#pragma once

#include <ray/api.h>

#include <string>
#include <vector>

#include "fbs/call_record.h"

namespace cluster_test {

inline int Add(int a, int b) { return a + b; }
inline std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}
inline size_t Length(const std::string& text) { return text.size(); }
inline int ThrowTask(int) { throw std::runtime_error("seven is too many"); }
inline void Nothing() {}
int WorkerPid();
int ParentPid();  // its raylet
int WorkerPidAfterMs(int ms);
int WorkerPidAfterAnother();  // once a task of this one has ended
int DieWithSignal(int signal);
int SleepMs(int ms);
int OneOnceThereIs(const std::string& path);  // that file
// Makes a file of its own in `folder`. Returns its pid once there are `count`; 0 where they do not come in a minute. It
// keeps its CPU meanwhile.
int PidOnceThereAre(const std::string& folder, int count);
int StubbornSleep(int ms);  // blocks all signals that can be blocked
int NestedSum(int depth);
inline int ThrowLongText(size_t bytes) { throw std::runtime_error(std::string(bytes, 'x')); }
int CloseDescriptors();       // all but the standard ones
int SumByThreads(int count);  // of 1 to count, each in a task that a thread of this one waits for
inline bool ShutDownHere() {
  ray::Shutdown();
  return ray::IsInitialized();
}
inline size_t LengthOfRefs(const std::vector<ray::ObjectRef<std::string>>& refs) {
  size_t length = 0;
  for (const auto& ref : refs) length += ref.Get()->size();
  return length;
}
// Says "begins" in the file `path`.PID, and puts an object once there is a file `path`.put.
int PutOnceToldTo(const std::string& path);
int WaitForATask(int ms);             // how many were ready
std::vector<int64_t> Occupy(int ms);  // from when to when, in nanoseconds of the monotonic clock
// Appends a line with the number to the file.
int Record(const std::string& path, int number);
int SumOfRefs(const std::vector<ray::ObjectRef<int>>& refs);
ray::Array<float> Ramp(int count);
float SumArray(const ray::Array<float>& array);
float SumArrays(const std::vector<ray::ObjectRef<ray::Array<float>>>& arrays);
// The array's offset in the store's memory; -1 if it is not there, or not in a read-only mapping.
int64_t ArenaOffset(const ray::Array<float>& array);

class Counter {
 public:
  static Counter* Create(int start) { return new Counter(start); }
  static Counter* CreateSlowly(int ms) { return new Counter(SleepMs(ms)); }
  static Counter* Broken() { throw std::logic_error("no counter today"); }
  explicit Counter(int start) : value_(start) {}
  int Increment(int by) { return value_ += by; }
  int AddInATask(int by);
  int AddInTasks(int count);  // one after the other
  int Value() const { return value_; }
  int Pid() const;
  int Throw() { throw std::out_of_range("past the end"); }
  int ThrowLong(size_t bytes) { return ThrowLongText(bytes); }
  int Sleep(int ms) { return SleepMs(ms); }
  int AwaitFile(const std::string& path) { return OneOnceThereIs(path); }
  int Length(const std::string& text) { return static_cast<int>(text.size()); }
  int LengthOfBoth(const std::string& one, const std::string& other) { return Length(one) + Length(other); }
  std::string Echo(const std::string& text) { return text; }
  std::vector<int> Log() { return log_; }
  void Append(int number) { log_.push_back(number); }
  void Exit() { ray::ExitActor(); }

 private:
  int value_;
  std::vector<int> log_;
};

// Publishes immutable versions of an array.
class Publisher {
 public:
  static Publisher* Create(int count) { return new Publisher(count); }
  explicit Publisher(int count) : count_(count) { Publish(0); }
  ray::Array<float> Current() { return current_; }
  int64_t Offset() const { return ArenaOffset(current_); }
  void Publish(int value);
  int Take(const ray::Array<float>& array) {  // keeps it
    kept_ = array;
    return static_cast<int>(array.size());
  }
  size_t MeasureSlowly(const ray::Array<float>& array) const {
    SleepMs(2);
    return array.size();
  }
  void Drop() { kept_ = ray::Array<float>(); }
  float Kept() const { return kept_.empty() ? -1 : kept_[0]; }

 private:
  int count_;
  ray::Array<float> current_;
  ray::Array<float> kept_;
};

// Remembers whether it had been restarted when its constructor ran.
class Witness {
 public:
  static Witness* Create() { return new Witness(); }
  bool RestartedInConstructor() const { return restarted_in_constructor_; }
  bool Restarted() const { return ray::WasCurrentActorRestarted(); }
  int Pid() const;

 private:
  const bool restarted_in_constructor_ = ray::WasCurrentActorRestarted();
};
inline bool RestartedInATask() { return ray::WasCurrentActorRestarted(); }

// Breaks the rules of call channels from inside. In every ring of replies of this process it claims more than a ring
// holds. It rings all doorbells, and stays busy for `ms`.
class Vandal {
 public:
  static Vandal* Create() { return new Vandal(); }
  int SpoilReplies(int ms);
  int Value() const { return 1; }
};
// The same from the caller's side: makes the last waiting call in each of this process's rings nonsense. Returns how
// many.
int SpoilLastCalls();
// Writes a call with this function and this argument into each ring of calls of this process, behind the back of the
// process's own producer. Returns how many.
int PushCalls(const std::string& function, const raylet::ValueView& argument);

int CallThrough(ray::ActorHandle<Counter> counter, int by);
// Drops its handle after 101 calls, of which the first takes `ms`. Returns their results.
std::vector<ray::ObjectRef<int>> CallAndForget(ray::ActorHandle<Counter> counter, int ms);
std::vector<ray::ObjectRef<int>> CallByIdAndForget(const std::string& id, int ms);
// Adds one to `signal`, and waits for a call that takes `ms`.
int SleepThrough(ray::ActorHandle<Counter> counter, ray::ActorHandle<Counter> signal, int ms);
// Signals that it begins, and waits for the first of them; how many were ready.
int WaitThrough(const std::vector<ray::ObjectRef<int>>& refs, ray::ActorHandle<Counter> signal, int ms);
// Adds one to `signal`, and waits until `count` have; false when they do not come within a minute.
bool MeetAnother(ray::ActorHandle<Counter> signal, int count);

}  // namespace cluster_test
