#include "tools/objstat/why.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/strings.h"
#include "tools/objstat/arena_report.h"
#include "tools/objstat/choice.h"
#include "tools/objstat/events.h"
#include "tools/objstat/screen.h"

namespace raylet::objstat {
namespace {

constexpr size_t kClientsNamed = 3;

// The clients that keep the most bytes, in sentences.
std::vector<std::string> Keepers(const Snapshot& snapshot) {
  struct Keeper {
    uint64_t bytes;
    std::string text;
  };
  std::vector<Keeper> keepers;
  for (const Client& client : snapshot.clients) {
    const auto add = [&](uint64_t bytes, const char* verb) {
      if (bytes > 0)
        keepers.push_back({bytes, StrCat(ClientText(snapshot, client.number), " ", verb, " ", FormatBytes(bytes))});
    };
    add(client.pinned_bytes, "pins");
    add(client.owned_bytes, "owns");
    add(client.unsealed_bytes, "is writing");
  }
  std::ranges::stable_sort(keepers, [](const Keeper& a, const Keeper& b) { return a.bytes > b.bytes; });
  if (keepers.size() > kClientsNamed) keepers.resize(kClientsNamed);
  std::vector<std::string> sentences;
  for (Keeper& keeper : keepers) sentences.push_back(std::move(keeper.text));
  return sentences;
}

Answer WhyAbsent(const Snapshot& snapshot, const std::string& digits) {
  Answer answer;
  answer.verdict = StrCat("no object whose id begins with ", digits, " is in the store");
  const Counters& counters = snapshot.counters;
  if (counters.evictions == 0 && counters.deletes == 0) {
    answer.reasons.push_back(
        "nothing was evicted or deleted since the store started: it was never sealed here, or its "
        "creator ended or aborted it before");
  } else {
    answer.reasons.push_back(StrCat("it was never here, or is one of the ", counters.evictions, " evicted and ",
                                    counters.deletes, " deleted since the store started"));
  }
  if (const Happened* const evicted = LastEvent(snapshot, EventKind::kEvicted))
    answer.reasons.push_back(StrCat(FormatAge(evicted->ago_ms), " ago: ", EventSentence(evicted->event)));
  if (const Happened* const left = LastEvent(snapshot, EventKind::kClientLeft))
    answer.reasons.push_back(StrCat(FormatAge(left->ago_ms), " ago: ", EventSentence(left->event)));
  if (digits.find_first_not_of("0123456789") == std::string::npos)
    answer.reasons.push_back(
        StrCat("for a size of ", digits, digits == "1" ? " byte, say" : " bytes, say objstat why ", digits, "B"));
  answer.remedy = "hold an object, or give it an owner, and the store does not evict it; a larger -m keeps more";
  return answer;
}

}  // namespace

Result<Answer> WhyObject(const Snapshot& snapshot, const std::string& digits) {
  const auto chosen = ChooseObject(snapshot, digits);
  if (!chosen && chosen.error().code == ErrorCode::kNotFound) return WhyAbsent(snapshot, digits);
  if (!chosen) return Fail(chosen.error());
  const Object& object = **chosen;
  Answer answer;
  const std::string name = StrCat("object ", object.id.hex(), " of ", FormatBytes(object.bytes()));
  for (const uint32_t holder : object.holders)
    answer.reasons.push_back(StrCat(ClientText(snapshot, holder), " holds it"));
  switch (object.place) {
    case Place::kPinned:
      answer.verdict = StrCat(name, " stays: ", object.holders.size() == 1 ? "one client holds it" : "clients hold it");
      if (object.deleted) answer.reasons.push_back("it is deleted: it goes at its last release");
      if (object.owned) answer.reasons.push_back("it has an owner: it stays also after its last release");
      break;
    case Place::kEvictable:
      answer.verdict = StrCat(name, " is here until room is needed: nobody holds it, and it has no owner");
      answer.reasons.push_back("the objects that were released longest ago are evicted first");
      break;
    case Place::kProtected:
      answer.verdict = StrCat(name, " stays: it has an owner, and nobody holds it now");
      answer.reasons.push_back("it goes when its owner deletes it, or ends without an heir");
      break;
    case Place::kUnsealed:
      answer.verdict = StrCat(name, " cannot be got yet: it is not sealed");
      answer.reasons.push_back(
          StrCat(ClientText(snapshot, object.creator), " has been writing it for ", FormatAge(object.age_ms)));
      answer.remedy = "its creator seals it, aborts it, or ends";
      break;
    case Place::kDying:
      answer.verdict =
          StrCat(name, object.holders.empty() ? " is deleted or evicted, and its memory is about to be free"
                                              : " is deleted or evicted, and its memory is not free yet");
      if (!object.holders.empty()) answer.remedy = "its memory is free once these clients release it, or end";
      break;
    case Place::kSpilled:
      answer.verdict = object.lost ? StrCat(name, " is lost: its bytes on disk cannot be read any more")
                                   : StrCat(name, " is on disk, in file ", *object.spill_file,
                                            ": it was released longest ago when room was needed");
      if (object.lost) answer.remedy = "delete it, and create it anew; the log of plasma_store says what was wrong";
      break;
  }
  if (object.place == Place::kSpilled && !object.lost)
    answer.reasons.push_back("a get reads it back; it goes when its owner deletes it, or ends without an heir");
  if (snapshot.unknown_pin_pages > 0)
    answer.reasons.push_back(
        StrCat("the pins of ", Counted(snapshot.unknown_pin_pages, "client"), " could not be read"));
  return answer;
}

Answer WhySize(const Snapshot& snapshot, uint64_t bytes) {
  Answer answer;
  const Ledger& ledger = snapshot.ledger;
  const ArenaReport arena = MakeArenaReport(snapshot);
  const uint64_t reach_bytes = ledger.free_bytes + ledger.evictable.bytes;
  const std::string wanted = FormatBytes(bytes), largest = FormatBytes(snapshot.largest_run_bytes);
  if (bytes > ledger.capacity_bytes) {
    answer.verdict = StrCat(wanted, " never fit: the store holds ", FormatBytes(ledger.capacity_bytes), " at most");
    answer.remedy = StrCat("start plasma_store with a larger -m, or split the object");
    return answer;
  }
  if (bytes > reach_bytes) {
    answer.verdict = StrCat(wanted, " do not fit now: ", FormatBytes(ledger.free_bytes), " are free and ",
                            FormatBytes(ledger.evictable.bytes), " can be evicted");
    answer.reasons = Keepers(snapshot);
    if (snapshot.counters.spills > 0 || ledger.spilled.count > 0)
      answer.reasons.push_back(StrCat(FormatBytes(ledger.spilled.bytes), " of ", Objects(ledger.spilled.count),
                                      " are on disk: a create that may wait has protected objects written there"));
    if (const Happened* const failed = LastEvent(snapshot, EventKind::kSpillFailed))
      answer.reasons.push_back(StrCat(FormatAge(failed->ago_ms), " ago: ", EventSentence(failed->event)));
    if (ledger.dying.bytes > 0)
      answer.reasons.push_back(StrCat(FormatBytes(ledger.dying.bytes), " are deleted, and clients hold them still"));
    answer.remedy = "release or delete objects, end one of these clients, or start plasma_store with a larger -m";
    return answer;
  }
  if (bytes <= snapshot.largest_run_bytes) {
    answer.verdict = StrCat(wanted, " fit now, and nothing has to go");
    answer.reasons.push_back(StrCat("free ", FormatBytes(ledger.free_bytes), ", largest run ", largest));
    return answer;
  }
  if (bytes <= arena.run_bytes_after_eviction) {
    answer.verdict = StrCat(wanted, " fit once others are evicted");
    answer.reasons.push_back(StrCat("free ", FormatBytes(ledger.free_bytes), ", largest run ", largest, ", and ",
                                    FormatBytes(ledger.evictable.bytes), " of ", Objects(ledger.evictable.count),
                                    " can be evicted"));
    return answer;
  }
  answer.verdict = StrCat(wanted, " fit in bytes, but no run is that long: the largest run is ", largest, ", and ",
                          FormatBytes(arena.run_bytes_after_eviction), " after evictions");
  answer.reasons.push_back(
      "the store moves objects that nobody holds, to join runs: pinned, unsealed and small ones stay");
  for (std::string& keeper : Keepers(snapshot)) answer.reasons.push_back(std::move(keeper));
  answer.remedy = "release the objects between the runs (objstat arena names them), or split the object";
  return answer;
}

std::string AnswerText(const Snapshot& snapshot, const Answer& answer, Look look) {
  std::string out = HeadlineIfDead(snapshot, look) + Paint(answer.verdict, Colour::kBold, look) + "\n";
  for (const std::string& reason : answer.reasons) out += StrCat("  ", reason, "\n");
  if (!answer.remedy.empty()) out += StrCat("  remedy: ", answer.remedy, "\n");
  return out;
}

nlohmann::json AnswerJson(const Answer& answer) {
  return {{"verdict", answer.verdict}, {"reasons", answer.reasons}, {"remedy", answer.remedy}};
}

}  // namespace raylet::objstat
