#include "tests/cluster/chaos_work.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <thread>

namespace cluster_test {
namespace {

constexpr std::chrono::seconds kPatience{90};  // for one result: only a result that never comes takes so long
// A look without a wait may always be a moment early. So the check waits a moment for results this old.
constexpr std::chrono::seconds kLate{5};
constexpr std::chrono::milliseconds kLatePatience{500};

uint64_t Next(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::string Block(uint64_t seed, int words) {
  std::string block(static_cast<size_t>(words) * 8, '\0');
  for (int i = 0; i < words; ++i) {
    const uint64_t word = Next(seed);
    std::memcpy(block.data() + i * 8, &word, 8);
  }
  return block;
}
uint64_t Digest(const std::string& block) {
  uint64_t digest = block.size();
  for (size_t i = 0; i + 8 <= block.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, block.data() + i, 8);
    digest = (digest ^ word) * 0x100000001b3;
  }
  return digest;
}
uint64_t DigestAll(const std::vector<ray::ObjectRef<std::string>>& blocks) {
  uint64_t digest = 0;
  for (const auto& block : blocks) digest = digest * 31 + Digest(*block.Get());
  return digest;
}
int NoteRun(const std::string& folder, int number) {
  std::ofstream(folder + "/once." + std::to_string(number), std::ios::app) << ::getpid() << std::endl;
  return number;
}
int Slowly(int ms, int number) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return number;
}
RAY_REMOTE(Block, Digest, DigestAll, NoteRun, Slowly, Digester::Create, &Digester::Take);

template <class T, class IsRight>
void ChaosWork::Expect(std::string what, ray::ObjectRef<T> ref, IsRight is_right) {
  pending_.push_back(
      {std::move(what), std::chrono::steady_clock::now(),
       [ref = std::move(ref), is_right = std::move(is_right)](int ms) { return is_right(*ref.Get(ms)); }});
}

// Submits one piece of work of each kind.
void ChaosWork::Submit() {
  const auto there = [&](auto function) { return ray::Task(function).SetResource("there", 1); };
  const auto block = [&](uint64_t seed, int words, bool away) {
    return away ? there(Block).Remote(seed, words) : ray::Task(Block).Remote(seed, words);
  };
  const uint64_t seed = random_();
  const int words = 1 + static_cast<int>(random_() % (random_() % 4 == 0 ? 200'000 : 2'000));
  const uint64_t digest = Digest(Block(seed, words));
  const auto same = [digest](uint64_t each) { return each == digest; };

  const auto made = block(seed, words, random_() % 2 == 0);
  Expect("a block", made, [digest](const std::string& each) { return Digest(each) == digest; });
  Expect("what is made of a block there", there(Digest).Remote(made), same);
  Expect("what is made of a block anywhere", ray::Task(Digest).Remote(made), same);
  Expect("what is made of ours there", there(Digest).Remote(ray::Put(Block(seed, words))), same);
  const std::vector<ray::ObjectRef<std::string>> several = {made, block(seed + 1, 500, true),
                                                            block(seed + 2, 500, false)};
  const uint64_t all = (digest * 31 + Digest(Block(seed + 1, 500))) * 31 + Digest(Block(seed + 2, 500));
  Expect("what is made of several blocks", there(DigestAll).Remote(several),
         [all](uint64_t each) { return each == all; });
  const int number = notes_++;
  Expect("what may run once alone", there(NoteRun).SetMaxRetries(0).Remote(folder_, number),
         [number](int each) { return each == number; });
  if (number % 5 == 0) {
    const auto same_number = [number](int each) { return each == number; };
    Expect("a slow one", there(Slowly).Remote(300, number), same_number);
    Expect("a slow one that may run once", there(Slowly).SetMaxRetries(0).Remote(300, number), same_number);
  }
  SubmitCalls();
}

// Calls two actors on other machines. Each is replaced from time to time, so that faults also hit actors that begin or
// end.
void ChaosWork::SubmitCalls() {
  constexpr size_t kActors = 2;
  if (actors_.size() < kActors || random_() % 50 == 0) {
    if (actors_.size() == kActors) actors_.erase(actors_.begin());
    actors_.push_back(ray::Actor(Digester::Create).SetResource("yonder", 1).SetMaxRestarts(100).Remote());
  }
  auto& actor = actors_[random_() % actors_.size()];
  const uint64_t seed = random_();
  const int words = 1 + static_cast<int>(random_() % (random_() % 8 == 0 ? 50'000 : 500));
  const uint64_t digest = Digest(Block(seed, words));
  const auto same = [digest](uint64_t each) { return each == digest; };
  Expect("an actor's answer", actor.Task(&Digester::Take).Remote(Block(seed, words)), same);
  Expect("an actor's answer about a block from there",
         actor.Task(&Digester::Take).Remote(ray::Task(Block).SetResource("there", 1).Remote(seed, words)), same);
}

bool ChaosWork::Check() {
  // The caller also heals cuts, so this must not wait for all results that a cut holds up. Results that it has waited
  // for come last the next time.
  std::deque<Pending> left, waited_for;
  auto patience = kLatePatience * 2;
  for (Pending& each : pending_) {
    const auto start = std::chrono::steady_clock::now();
    const bool waits = patience >= kLatePatience && start - each.since > kLate;
    if (!Take(each, waits ? kLatePatience : std::chrono::milliseconds(0)))
      (waits ? waited_for : left).push_back(std::move(each));
    if (waits) patience -= std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  }
  pending_ = std::move(left);
  std::move(waited_for.begin(), waited_for.end(), std::back_inserter(pending_));
  if (pending_.empty()) actors_.clear();
  return !pending_.empty();
}

bool ChaosWork::Take(const Pending& pending, std::chrono::milliseconds patience) {
  try {
    if (pending.right(static_cast<int>(patience.count())))
      ++right_;
    else
      Wrong(pending, "another result");
  } catch (const ray::internal::RayTimeoutException&) {
    if (std::chrono::steady_clock::now() - pending.since < kPatience) return false;
    Wrong(pending, "it does not come");
  } catch (const ray::internal::RayException& e) {
    const std::string what = e.what();
    const auto says = [&](const char* words) { return what.find(words) != std::string::npos; };
    const bool died = dynamic_cast<const ray::internal::RayWorkerException*>(&e) != nullptr &&
                      (says("SIGKILL") || says("the machine at 10.77.0."));
    const bool actor_died =
        dynamic_cast<const ray::internal::RayActorException*>(&e) != nullptr && (says("SIGKILL") || says("10.77.0."));
    const bool lost = dynamic_cast<const ray::internal::UnreconstructableException*>(&e) != nullptr && says("lost");
    const auto* const task = dynamic_cast<const ray::internal::RayTaskException*>(&e);
    const bool lost_inside = task != nullptr && says("Unreconstructable") && says("lost");
    if (died || actor_died || lost || lost_inside)
      ++errors_;
    else
      Wrong(pending, what);
  }
  return true;
}

void ChaosWork::Wrong(const Pending& pending, const std::string& why) { wrong_.push_back(pending.what + ": " + why); }

size_t ChaosWork::Repeated() const {
  size_t repeated = 0;
  for (int number = 0; number < notes_; ++number) {
    std::ifstream file(folder_ + "/once." + std::to_string(number));
    repeated += std::count(std::istreambuf_iterator<char>(file), {}, '\n') > 1 ? 1 : 0;
  }
  return repeated;
}

}  // namespace cluster_test
