// ChaosWork: what a driver asks of a cluster whose machines are killed meanwhile: tasks with results that can be
// checked, inline and stored, with arguments from other machines. Each result is right, or a documented error that
// names its cause, and comes in time. Owned by a driver; one thread.
#pragma once

#include <ray/api.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace cluster_test {

// Bytes that tell their seed, and what must come out of them.
std::string Block(uint64_t seed, int words);
uint64_t Digest(const std::string& block);
uint64_t DigestAll(const std::vector<ray::ObjectRef<std::string>>& blocks);
// Leaves a line in a file each time that it runs.
int NoteRun(const std::string& folder, int number);
// The number, after a while: most faults find a few of these at work.
int Slowly(int ms, int number);

// An actor that knows nothing that a restart could take from it.
class Digester {
 public:
  static Digester* Create() { return new Digester(); }
  uint64_t Take(const std::string& block) { return Digest(block); }
};

class ChaosWork {
 public:
  // Files about what ran go to `folder`.
  ChaosWork(uint64_t seed, std::string folder) : random_(seed), folder_(std::move(folder)) {}

  void Submit();
  // Looks at what is ready; false when nothing is asked for any more.
  bool Check();
  // Tasks that may run once alone and ran more often.
  size_t Repeated() const;

  size_t right() const { return right_; }
  size_t errors() const { return errors_; }
  // What must not be, a line each.
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  struct Pending {
    std::string what;
    std::chrono::steady_clock::time_point since;
    std::function<bool(int timeout_ms)> right;  // throws what the result is instead
  };
  template <class T, class IsRight>
  void Expect(std::string what, ray::ObjectRef<T> ref, IsRight is_right);
  bool Take(const Pending& pending, std::chrono::milliseconds patience);
  void Wrong(const Pending& pending, const std::string& why);
  void SubmitCalls();

  std::mt19937_64 random_;
  const std::string folder_;
  std::deque<Pending> pending_;
  std::vector<std::string> wrong_;
  std::vector<ray::ActorHandle<Digester>> actors_;
  size_t right_ = 0, errors_ = 0;
  int notes_ = 0;
};

}  // namespace cluster_test
