// What objstat finds wrong: leaks, verify, doctor, and a ledger of a store that never rests.
#include <gtest/gtest.h>
#include <sys/file.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/strings.h"
#include "tests/tools/objstat_reports_fixture.h"
#include "tools/objstat/doctor.h"
#include "tools/objstat/leaks.h"
#include "tools/objstat/verify.h"

namespace raylet::objstat {
namespace {

using nlohmann::json;

class ObjstatFindingsTest : public ObjstatReportsTest {};

TEST_F(ObjstatFindingsTest, LeaksAreFoundByKindWithTheClientThatKeepsThem) {
  OtherProcess stopped, ended;
  stopped.Stop();
  AddClient(7, stopped.pid(), "stopped");
  AddClient(9, ended.pid(), "ended");
  ended.End();
  const auto of = [this](uint32_t creator, EntryState state, bool owned) {
    store::ObjectIndex& index = writer_->index();
    const auto entry =
        *index.Insert(ObjectId::FromRandom(),
                      {.offset = next_offset_ += kMiB, .data_bytes = 1000, .creator = creator, .owned = owned});
    if (state != EntryState::kUnsealed) index.MarkSealed(entry);
    if (state == EntryState::kDying) index.MarkDying(entry);
    return entry;
  };
  const uint64_t unsealed = of(kHolder, EntryState::kUnsealed, false);
  const uint64_t by_stopped = of(7, EntryState::kUnsealed, false);
  const uint64_t by_ended = of(9, EntryState::kUnsealed, false);
  const uint64_t deleted = of(kHolder, EntryState::kDying, false);
  const uint64_t inherited = of(1000, EntryState::kSealed, true);
  of(kHolder, EntryState::kSealed, true);  // its creator lives
  of(1000, EntryState::kSealed, false);    // it goes when room is needed
  Pin(deleted);
  Pin(of(1000, EntryState::kSealed, true));  // held on purpose
  const Snapshot snapshot = Take();
  std::map<uint64_t, LeakKind> found;
  for (const Leak& leak : FindLeaks(snapshot, 0)) found[leak.object->entry] = leak.kind;
  EXPECT_EQ(found, (std::map<uint64_t, LeakKind>{{unsealed, LeakKind::kUnsealed},
                                                 {by_stopped, LeakKind::kStopped},
                                                 {by_ended, LeakKind::kEnded},
                                                 {deleted, LeakKind::kDeleted},
                                                 {inherited, LeakKind::kInherited}}));
  EXPECT_TRUE(FindLeaks(snapshot, ~uint64_t{0}).empty());
  const auto [text, code] = Run({"leaks", "--older", "0s", "-s", socket_});
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find(StrCat("stopped (pid ", stopped.pid())), std::string::npos) << text;
  EXPECT_EQ(Run({"leaks", "--older", "36500d", "-s", socket_}).second, 0);
}

TEST_F(ObjstatFindingsTest, VerifyFindsNothingInASoundIndex) {
  FillAll();
  const auto [text, code] = Run({"verify", "-s", socket_});
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find("5 objects and "), std::string::npos) << text;
  EXPECT_NE(text.find(" chains: all is right"), std::string::npos) << text;
}

TEST_F(ObjstatFindingsTest, VerifyFindsEachBrokenRule) {
  const uint64_t entry = AddAt(0, EntryState::kSealed, 2 * kMiB);
  AddAt(4 * kMiB, EntryState::kSealed, kMiB);
  Count();
  IndexEntry& broken = header().entries[static_cast<std::ptrdiff_t>(entry)];
  const auto findings = [&] { return Joined(Verify(Open()).findings); };
  ASSERT_EQ(findings(), "");

  broken.offset = 3 * kMiB;
  EXPECT_NE(findings().find(" overlaps object "), std::string::npos) << findings();
  broken.offset = 80 * kMiB;
  EXPECT_NE(findings().find("outside the arena of 75497472"), std::string::npos) << findings();
  broken.offset = 3;
  EXPECT_NE(findings().find("lies at 3, no multiple of 64"), std::string::npos) << findings();
  broken.offset = 0;

  const uint64_t word = broken.id_words[0];
  broken.id_words[0] = word ^ 0xffff;  // another id in the same place: its chain or the filter cannot fit
  const std::string moved = findings();
  EXPECT_TRUE(moved.find("and belongs in") != std::string::npos ||
              moved.find("the filter of chain") != std::string::npos)
      << moved;
  broken.id_words[0] = word;

  const uint64_t state = broken.word;
  broken.word = MakeWord(EntryState::kDying, GenerationOf(state));
  EXPECT_NE(findings().find("is dying, and stands in chain"), std::string::npos) << findings();
  broken.word = MakeWord(static_cast<EntryState>(9), GenerationOf(state));
  EXPECT_NE(findings().find("is in state 9"), std::string::npos) << findings();
  broken.word = state;

  const uint32_t next = broken.next;
  broken.next = static_cast<uint32_t>(entry) + 1;  // a chain without an end
  EXPECT_NE(findings().find("stands twice in the chains"), std::string::npos) << findings();
  broken.next = 4'000'000;
  EXPECT_NE(findings().find("leads to entry 3999999, and there are 64"), std::string::npos) << findings();
  broken.next = next;

  for (uint32_t chain = 0; chain < header().chain_count; ++chain) {
    std::atomic<uint64_t>& head = header().chains[static_cast<std::ptrdiff_t>(chain)];
    if (FirstLinkOf(head) == entry + 1) head = MakeHead(kNoLink, 0, 0);
  }
  EXPECT_NE(findings().find("stands in no chain, so that no get finds it"), std::string::npos) << findings();
  header().counters.sealed_bytes += 1;
  EXPECT_NE(findings().find("the bytes of sealed objects are 3145728, and the daemon counts 3145729"),
            std::string::npos)
      << findings();
  EXPECT_EQ(Run({"verify", "-s", socket_}).second, 1);
}

TEST_F(ObjstatFindingsTest, VerifyOfAStoreThatDiedInAChangeSaysWhatItSaw) {
  FillAll();
  header().counters.mutation_seq = 7;
  header().counters.sealed_count += 1;
  const Verification verification = Verify(Open());
  EXPECT_FALSE(verification.consistent);
  EXPECT_NE(Joined(verification.findings).find("the sealed objects are 3, and the daemon counts 4"), std::string::npos);
}

TEST_F(ObjstatFindingsTest, BusyStoreIsShownAsItWasSeenAndIsNoFault) {
  FillAll();
  header().counters.mutation_seq = 7;
  header().counters.sealed_bytes += 100;  // of the change that is under way
  const auto [text, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(
      text.find("= pinned 5.0 MiB + evictable 7.0 MiB + protected 11.0 MiB + unsealed 13.0 MiB + dying 17.0 MiB + free "
                "11.0 MiB: adds up\n  the store changed during each look"),
      std::string::npos)
      << text;
  const auto ledger = json::parse(Run({"--json", "-s", socket_}).first)["ledger"];
  EXPECT_EQ(ledger["of_one_moment"], false);
  EXPECT_EQ(ledger["free_bytes"], 11 * kMiB);
}

TEST_F(ObjstatFindingsTest, DoctorNamesWhatIsWrongAndTheRemedy) {
  FillAll();
  const auto health = [this](const std::string& name) {
    for (const Check& check : Diagnose(Examine(Open())))
      if (check.name == name) return check;
    ADD_FAILURE() << "no check " << name;
    return Check{};
  };
  EXPECT_EQ(health("daemon").health, Health::kFine);
  EXPECT_EQ(health("index").health, Health::kFine);
  EXPECT_EQ(health("ledger").health, Health::kFine);
  EXPECT_EQ(health("full").health, Health::kFine);
  EXPECT_EQ(health("room").health, Health::kFine);
  EXPECT_EQ(health("descriptors").health, Health::kFine);

  Event full{.kind = EventKind::kFull, .bytes = 50 * kMiB};
  full.time_ms = Take().up_ms;
  Happen(1, full);
  EXPECT_EQ(health("full").health, Health::kWarning);
  Pin(AddAt(60 * kMiB, EntryState::kSealed, 9 * kMiB));
  EXPECT_EQ(health("ledger").health, Health::kFault);
  Count();
  EXPECT_EQ(health("ledger").health, Health::kFine);
  EXPECT_EQ(health("room").health, Health::kWarning);
  OtherProcess stopped;
  stopped.Stop();
  AddClient(7, stopped.pid(), "stopped");
  EXPECT_EQ(health("clients").health, Health::kWarning);
  EXPECT_EQ(health("clients").remedy.substr(0, 11), "kill -CONT ");
  ::flock(lock_.get(), LOCK_UN);  // as the kernel does when its process ends
  EXPECT_EQ(health("daemon").health, Health::kFault);
  const auto [text, code] = Run({"doctor", "-s", socket_});
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find("remedy: start one with plasma_store -m 1G -s "), std::string::npos) << text;
}

// Of two runs of the arena, one longer than what is free: what a user may create without evicting anything.
TEST_F(ObjstatFindingsTest, TheLargestRunIsOneNumberEverywhere) {
  FillAll();  // 53 of 64 MiB, in an arena of 72
  const uint64_t run_bytes = 11 * kMiB;
  EXPECT_EQ(Take().largest_run_bytes, run_bytes);
  EXPECT_EQ(json::parse(Run({"--json", "-s", socket_}).first)["largest_run_bytes"], run_bytes);
  const std::pair<std::vector<std::string>, std::string> texts[] = {
      {{}, "largest run   11.0 MiB"},
      {{"doctor"}, "the largest run is 11.0 MiB of 11.0 MiB free"},
      {{"why", "11M"}, "free 11.0 MiB, largest run 11.0 MiB"},
      {{"why", "12M"}, "free 11.0 MiB, largest run 11.0 MiB, and 7.0 MiB of 1 object can be evicted"},
      {{"--prom"}, StrCat("plasma_store_largest_run_bytes ", run_bytes, "\n")}};
  for (auto [arguments, words] : texts) {
    arguments.insert(arguments.end(), {"-s", socket_});
    const std::string text = Run(arguments).first;
    EXPECT_NE(text.find(words), std::string::npos) << words << " is not in " << text;
  }
}

TEST_F(ObjstatFindingsTest, CountsAndNounsAgree) {
  FillAll();
  IndexCounters& counters = header().counters;
  for (std::atomic<uint64_t>* const counter :
       {&counters.creates, &counters.seals, &counters.deletes, &counters.evictions, &counters.full_failures,
        &counters.watched_ids, &counters.spills, &counters.spill_failures, &counters.lost_objects})
    *counter = 1;
  const std::string screen = Run({"-s", socket_}).first;
  for (const char* words : {"1 create, 1 seal, 1 delete, 1 eviction of 0 B, 1 time full", "the seals of 1 object\n",
                            "1 object of 0 B written", "1 failed write, 1 object lost"})
    EXPECT_NE(screen.find(words), std::string::npos) << words << " is not in " << screen;
  const std::string doctor = Run({"doctor", "-s", socket_}).first;
  EXPECT_NE(doctor.find("1 create was refused for want of room"), std::string::npos) << doctor;
}

}  // namespace
}  // namespace raylet::objstat
