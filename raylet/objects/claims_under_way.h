// ClaimsUnderWay: which claims have been sent and have not arrived yet, and what waits for that. A claim for an object
// of another machine arrives when that machine has taken it. A claim for an object of a living owner here arrives when
// the owner holds the object. A core; owned by the ClaimDesk.
// Always holds: an answer counts after every claim that an end led to and that was sent before it. The claims of
// another machine are answered after the owners here hold what they claim. So is a process that asks whether its claims
// have arrived. A lost machine and an ended owner answer nothing, and hold up nothing. A claim that no end led to holds
// up no end, though its owner may be stopped.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

enum class ClaimCause { kEnd, kNoLender };

class ClaimsUnderWay {
 public:
  static constexpr size_t kQuestionsMax = 1'000;  // of one process, which asks from so many threads at once
  // Somebody has claimed all that it had through the processes of an end.
  struct Answer {
    ProcessId key = 0;           // of the end
    ProcessId by = 0;            // a process of this machine,
    std::optional<NodeId> node;  // or a machine
  };
  // Claims of another machine for objects of this one.
  struct Taken {
    NodeId node;
    uint64_t number = 0;  // as that machine counts
    std::vector<ObjectId> claimed, freed, lost;
  };
  // A process asks to hear when its claims for objects of an owner have arrived.
  struct Question {
    ProcessId by = 0;
    uint64_t request = 0;
    ProcessId owner = 0;  // of any machine
  };

  // ---- to other machines
  // A claim for these objects. Returns its number, from 1.
  uint64_t Sent(const NodeId& node, ProcessId by, std::span<const ObjectId> objects, ClaimCause cause);
  // That machine has taken the claim. Returns who claimed; nothing where that machine was sent none of this number.
  std::optional<ProcessId> TakenBy(const NodeId& node, uint64_t number);
  // ---- to owners of this machine
  uint64_t ToldToHold(ProcessId owner, ClaimCause cause);  // returns the number of the message, from 1
  bool Holds(ProcessId owner, uint64_t number);            // false: this owner was not told so
  // An end has led to a claim for an object of this owner, which may be among those that it was told to hold before.
  void EndWaitsFor(ProcessId owner);
  // ---- what waits
  void Add(const Answer& answer) { answers_.push_back({answer, last_sent_, last_told_}); }
  void Add(Taken taken);
  bool Add(const Question& question);     // false: the process asks kQuestionsMax already
  std::vector<Answer> TakeAnswers();      // those that count now, in order
  std::vector<Question> TakeQuestions();  // those to answer now, in order
  // Those that may be answered now, in order, until they name `most` claimed objects. `more`: others may be, too.
  std::vector<Taken> TakeTaken(size_t most, bool& more);

  // ---- ends
  void OwnersEnded(const ProcessSet& processes);
  void ProcessesEnded(const ProcessSet& processes);  // they ask nothing any more
  void MachineLost(const NodeId& node);

 private:
  using Numbers = std::set<uint64_t>;
  struct WaitingAnswer {
    Answer answer;
    uint64_t after_sent = 0, after_told = 0;  // the claims before it
  };
  struct WaitingTaken {
    Taken taken;
    std::vector<ProcessId> owners;  // of the claimed objects; each once
    uint64_t after_told = 0;
  };
  struct WaitingQuestion {
    Question question;
    uint64_t after_sent = 0, after_told = 0;
  };
  struct Claim {
    NodeId node;
    ProcessId by = 0;
    std::vector<ProcessId> owners;  // of the objects; each once
  };
  // The claims to one machine or owner of which it has not answered some.
  template <class Key>
  using ByReceiver = std::map<Key, Numbers>;  // no set is empty
  template <class Key>
  static void Erase(ByReceiver<Key>& all, const Key& key, uint64_t number);
  template <class Key>
  static bool NoneOf(const ByReceiver<Key>& all, const Key& key, uint64_t up_to);
  static bool NoneIn(const Numbers& numbers, uint64_t up_to) { return numbers.empty() || *numbers.begin() > up_to; }
  bool HasArrived(const WaitingQuestion& each) const;
  void Forget(uint64_t number, const Claim& claim);

  std::map<uint64_t, Claim> sent_;      // that their machines have not taken yet
  std::map<uint64_t, ProcessId> told_;  // owners that have not answered yet
  Numbers sent_for_ends_, told_for_ends_;
  ByReceiver<std::pair<ProcessId, ProcessId>> sent_by_;  // sent_ again, by claimer and owner
  ByReceiver<ProcessId> told_to_;                        // told_ again
  uint64_t last_sent_ = 0, last_told_ = 0;
  std::vector<WaitingAnswer> answers_;
  std::vector<WaitingTaken> taken_;
  std::vector<WaitingQuestion> questions_;
};

}  // namespace raylet
