// objstat's subcommands over an index that the test writes: what they find, what they say, and their exit codes.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/strings.h"
#include "store/arena.h"
#include "tests/tools/objstat_reports_fixture.h"
#include "tools/objstat/arena_report.h"
#include "tools/objstat/choice.h"
#include "tools/objstat/events.h"
#include "tools/objstat/pins.h"
#include "tools/objstat/rates.h"
#include "tools/objstat/sizes.h"
#include "tools/objstat/text.h"
#include "tools/objstat/why.h"

namespace raylet::objstat {
namespace {

using nlohmann::json;

TEST_F(ObjstatReportsTest, ObjectIsShownByTheFirstDigitsOfItsId) {
  const uint64_t entry = Add(EntryState::kSealed, 5 * kMiB);
  Pin(entry);
  const std::string id = IdOf(entry);
  const auto [text, code] = Run({"show", id.substr(0, 8), "-s", socket_});
  EXPECT_EQ(code, 0) << text;
  for (const std::string& word : {id, std::string("pinned"), std::string("5.0 MiB (5242880 bytes)"),
                                  StrCat("held by    trainer (pid ", ::getpid())})
    EXPECT_NE(text.find(word), std::string::npos) << word << " in " << text;
  const auto shown = json::parse(Run({"show", id, "--json", "-s", socket_}).first);
  EXPECT_EQ(shown["id"], id);
  EXPECT_EQ(shown["holders"], json({kHolder}));
}

TEST_F(ObjstatReportsTest, SpilledObjectIsOnDiskAndBesideTheCapacity) {
  FillAll();
  const std::string spilled = IdOf(AddSpilled(DiskWord({.file = 12, .row = 3}), 9 * kMiB));
  const std::string lost = IdOf(AddSpilled(kLostWord, 2 * kMiB));
  header().counters.restoring_bytes = kMiB;
  const auto [screen, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 0) << screen;
  for (const char* words :
       {"+ restoring 1.0 MiB + free 10.0 MiB, and 11.0 MiB of 2 objects on disk: adds up", "spilled       11.0 MiB"})
    EXPECT_NE(screen.find(words), std::string::npos) << words << " in " << screen;
  EXPECT_NE(Run({"ls", "-s", socket_}).first.find("file 12"), std::string::npos);
  EXPECT_NE(Run({"why", spilled, "-s", socket_}).first.find("is on disk, in file 12"), std::string::npos);
  EXPECT_NE(Run({"why", lost, "-s", socket_}).first.find("is lost"), std::string::npos);
  const auto [dumped, dump_code] = Run({"dump", spilled, "-s", socket_});
  EXPECT_EQ(dump_code, 1);
  EXPECT_NE(dumped.find("is on disk: get it"), std::string::npos) << dumped;
  EXPECT_EQ(Run({"verify", "-s", socket_}).second, 0) << Run({"verify", "-s", socket_}).first;
  header().counters.spilled_count += 1;
  EXPECT_NE(Run({"-s", socket_}).first.find("there are 2 spilled objects, and the daemon counts 3"), std::string::npos);
}

TEST_F(ObjstatReportsTest, EventsOfSpillingSayWhatHappened) {
  Happen(1, {.kind = EventKind::kSpilled, .objects = 3, .bytes = 5 * kMiB});
  Happen(2, {.kind = EventKind::kRestored, .objects = 1, .bytes = kMiB});
  Happen(3, {.kind = EventKind::kSpillFailed, .count = 4});
  Happen(4, {.kind = EventKind::kLost, .objects = 1, .bytes = kMiB});
  const std::string events = Run({"events", "-s", socket_}).first;
  for (const char* words :
       {"3 objects of 5.0 MiB in all written to disk to make room", "1 object of 1.0 MiB in all read back from disk",
        "could not be written: the log of plasma_store says why; 4 times within a second",
        "1 object of 1.0 MiB in all lost"})
    EXPECT_NE(events.find(words), std::string::npos) << words << " in " << events;
}

TEST_F(ObjstatReportsTest, IdThatIsNoneOrAbsentOrAmbiguousIsAnErrorThatSaysWhatToDo) {
  for (const std::string& wrong : {std::string("abc"), std::string("xyzxyz"), std::string(41, 'a')}) {
    const auto [text, code] = Run({"show", wrong, "-s", socket_});
    EXPECT_EQ(code, 2) << text;
    EXPECT_NE(text.find("'" + wrong + "' is no object id"), std::string::npos) << text;
    EXPECT_NE(text.find("objstat ls shows the ids"), std::string::npos) << text;
  }
  EXPECT_EQ(Run({"show", "abcd", "-s", socket_}).second, 1);
  ObjectId one, other;
  one.mutable_data()[0] = other.mutable_data()[0] = 0xab;
  one.mutable_data()[1] = other.mutable_data()[1] = 0xcd;
  other.mutable_data()[19] = 1;
  writer_->Insert(one, EntryState::kSealed, 0, 100);
  writer_->Insert(other, EntryState::kSealed, 4096, 100);
  const auto [text, code] = Run({"dump", "abcd", "-s", socket_});
  EXPECT_EQ(code, 2) << text;
  EXPECT_NE(text.find("2 ids begin with abcd, such as " + one.hex() + " and " + other.hex()), std::string::npos)
      << text;
}

TEST_F(ObjstatReportsTest, LivingObjectIsChosenBeforeADyingOneOfTheSameId) {
  const ObjectId id = ObjectId::FromRandom();
  writer_->Insert(id, EntryState::kDying, 0, 100);
  const uint64_t living = writer_->Insert(id, EntryState::kSealed, 4096, 200);
  const Snapshot snapshot = Take();
  const auto chosen = ChooseObject(snapshot, id.hex());
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_EQ((*chosen)->entry, living);
}

TEST_F(ObjstatReportsTest, PinsNamePidAndProgramAndTheLargestComesFirst) {
  Pin(Add(EntryState::kSealed, kMiB));
  Pin(Add(EntryState::kSealed, 3 * kMiB));
  Add(EntryState::kSealed, 9 * kMiB);
  const Snapshot snapshot = Take();
  const auto pins = PinsOf(snapshot, 0);
  ASSERT_EQ(pins.size(), 2u);
  EXPECT_EQ(pins[0].object->bytes(), 3 * kMiB);
  EXPECT_EQ(pins[0].client->pid, ::getpid());
  EXPECT_FALSE(pins[0].client->program.empty());
  const std::string text = PinsText(snapshot, pins, {});
  EXPECT_NE(text.find(pins[0].client->program), std::string::npos) << text;
  EXPECT_NE(text.find("trainer"), std::string::npos) << text;
  EXPECT_NE(text.find(std::to_string(::getpid())), std::string::npos) << text;
}

TEST_F(ObjstatReportsTest, PinIsNoOlderThanItsObjectAndItsClient) {
  Pin(Add(EntryState::kSealed, kMiB));
  Snapshot snapshot = Take();
  snapshot.objects[0].age_ms = 5000;
  snapshot.clients[0].connected_ms_ago = 3000;
  EXPECT_EQ(PinsOf(snapshot, 0)[0].held_at_most_ms, 3000u);
  EXPECT_EQ(PinsOf(snapshot, 3000).size(), 1u);
  EXPECT_TRUE(PinsOf(snapshot, 3001).empty());
}

TEST_F(ObjstatReportsTest, NamesWithControlCharactersReachNoTerminal) {
  std::strcpy(header().clients.get()[3].name, "evil\033[2J\nname");
  Pin(Add(EntryState::kSealed, kMiB));
  for (const char* verb : {"clients", "pins", "top"}) {
    const auto [text, code] = Run({verb, "-s", socket_, "--interval", "0.1"});
    EXPECT_EQ(code, 0) << text;
    EXPECT_EQ(text.find('\033'), std::string::npos) << verb;
    EXPECT_NE(text.find("evil?[2J?name"), std::string::npos) << verb << text;
  }
}

TEST_F(ObjstatReportsTest, ArenaShowsRunsAndWhatStandsBetweenThem) {
  const uint64_t pinned = AddAt(8 * kMiB, EntryState::kSealed, 2 * kMiB);
  Pin(pinned);
  const uint64_t evictable = AddAt(20 * kMiB, EntryState::kSealed, 4 * kMiB);
  AddAt(70 * kMiB, EntryState::kUnsealed, kMiB - 100);
  const Snapshot snapshot = Take();
  const ArenaReport report = MakeArenaReport(snapshot);
  ASSERT_EQ(report.runs.size(), 4u);
  EXPECT_EQ(report.runs[0].offset, 24 * kMiB);
  EXPECT_EQ(report.runs[0].bytes, 46 * kMiB);
  ASSERT_NE(report.runs[0].before, nullptr);
  EXPECT_EQ(report.runs[0].before->entry, evictable);
  EXPECT_EQ(report.runs[1].bytes, 10 * kMiB);
  EXPECT_EQ(report.runs[1].before->entry, pinned);
  EXPECT_EQ(report.runs[2].bytes, 8 * kMiB);
  EXPECT_EQ(report.runs[2].before, nullptr);
  EXPECT_EQ(report.runs[3].after, nullptr);
  EXPECT_EQ(report.free_run_bytes, 65 * kMiB);
  EXPECT_EQ(report.run_bytes_after_eviction, 60 * kMiB);
  EXPECT_EQ(report.waste_bytes, 100u);
  EXPECT_EQ(report.picture.size(), 72u);
  EXPECT_EQ(report.picture[8], 'p');
  EXPECT_EQ(report.picture[21], 'e');
  EXPECT_EQ(report.picture[70], 'u');
  EXPECT_EQ(std::ranges::count(report.picture, '.'), 65);
}

// The first digits of objects of one process are the same.
TEST_F(ObjstatReportsTest, TheArenaNamesObjectsByTheirWholeIds) {
  const std::string id = IdOf(Add(EntryState::kSealed, 5 * kMiB));
  const std::string text = ArenaText(Take(), MakeArenaReport(Take()), {});
  EXPECT_NE(text.find(id + " (evictable)"), std::string::npos) << text;
}

TEST_F(ObjstatReportsTest, PagesLentToTheIndexAreNoRun) {
  header().counters.lent_bytes = 12 * kMiB;
  EXPECT_EQ(MakeArenaReport(Take()).free_run_bytes, 60 * kMiB);
}

TEST(PhysicalBytesTest, AreThoseThatTheArenaTakes) {
  const auto arena = store::Arena::Create(16 << 20);
  ASSERT_TRUE(arena) << arena.error().message;
  for (uint64_t bytes = 0; bytes < 20'000; bytes += bytes < 700 ? 1 : 37) {
    const auto offset = (*arena)->Allocate(AlignUp(bytes) + 5);
    ASSERT_TRUE(offset);
    ASSERT_EQ(PhysicalBytes(bytes, 5), (*arena)->AllocatedBytes(*offset)) << bytes;
    (*arena)->Free(*offset);
  }
  EXPECT_EQ(PhysicalBytes(0, 0), 64u);
  EXPECT_EQ(PhysicalBytes(kMiB, 1), kMiB + 4096);
}

TEST_F(ObjstatReportsTest, SizesAreCountedByPowersOfTwo) {
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{1000}, uint64_t{1023}, uint64_t{1024}, 3 * kMiB})
    AddAt(next_offset_ += 4 * kMiB, EntryState::kSealed, bytes);
  const Snapshot snapshot = Take();
  const auto sizes = SizesOf(snapshot);
  EXPECT_EQ(sizes.front().to_bytes, 0u);
  EXPECT_EQ(sizes.front().count, 1u);
  EXPECT_EQ(sizes.back().from_bytes, 2 * kMiB);
  EXPECT_EQ(sizes.back().bytes, 3 * kMiB);
  const auto kilobyte = std::ranges::find(sizes, uint64_t{1023}, &SizeClass::to_bytes);
  ASSERT_NE(kilobyte, sizes.end());
  EXPECT_EQ(kilobyte->from_bytes, 512u);
  EXPECT_EQ(kilobyte->count, 2u);
  EXPECT_EQ(kilobyte->bytes, 2023u);
  EXPECT_EQ(kilobyte->waste_bytes, 25u);
  EXPECT_TRUE(SizesOf(Snapshot{}).empty());
}

TEST_F(ObjstatReportsTest, WhyOfASizeSaysWhetherItFitsAndWhoIsInTheWay) {
  Pin(AddAt(0, EntryState::kSealed, 40 * kMiB));
  AddAt(40 * kMiB, EntryState::kSealed, 10 * kMiB);
  Count();
  const Snapshot snapshot = Take();
  const auto why = [&](uint64_t bytes) {
    const Answer answer = WhySize(snapshot, bytes);
    return answer.verdict + "\n" + Joined(answer.reasons) + answer.remedy;
  };
  EXPECT_NE(why(65 * kMiB).find("never fit: the store holds 64.0 MiB"), std::string::npos) << why(65 * kMiB);
  EXPECT_NE(why(14 * kMiB).find("fit now, and nothing has to go"), std::string::npos) << why(14 * kMiB);
  EXPECT_NE(why(20 * kMiB).find("fit once others are evicted"), std::string::npos) << why(20 * kMiB);
  const std::string full = why(30 * kMiB);
  EXPECT_NE(full.find("do not fit now: 14.0 MiB are free and 10.0 MiB can be evicted"), std::string::npos) << full;
  EXPECT_NE(full.find(StrCat("trainer (pid ", ::getpid())), std::string::npos) << full;
  EXPECT_NE(full.find("pins 40.0 MiB"), std::string::npos) << full;
}

TEST_F(ObjstatReportsTest, WhyOfASizeTellsMissingRunsFromMissingBytes) {
  for (uint64_t at = 0; at < 72; at += 9) Pin(AddAt(at * kMiB, EntryState::kSealed, kMiB));
  Count();
  const Answer answer = WhySize(Take(), 20 * kMiB);
  EXPECT_NE(answer.verdict.find("fit in bytes, but no run is that long: the largest run is 8.0 MiB"), std::string::npos)
      << answer.verdict;
}

TEST_F(ObjstatReportsTest, WhyOfAnObjectSaysWhatKeepsIt) {
  const uint64_t pinned = Add(EntryState::kSealed, kMiB), evictable = Add(EntryState::kSealed, kMiB);
  const uint64_t owned = Add(EntryState::kSealed, kMiB, true), unsealed = Add(EntryState::kUnsealed, kMiB);
  const uint64_t dying = Add(EntryState::kDying, kMiB);
  Pin(pinned);
  Pin(dying);
  const Snapshot snapshot = Take();
  const auto why = [&](uint64_t entry) {
    const auto answer = WhyObject(snapshot, IdOf(entry));
    return answer ? answer->verdict + "\n" + Joined(answer->reasons) + answer->remedy : answer.error().message;
  };
  EXPECT_NE(why(pinned).find("stays: one client holds it"), std::string::npos) << why(pinned);
  EXPECT_NE(why(pinned).find(StrCat("trainer (pid ", ::getpid())), std::string::npos) << why(pinned);
  EXPECT_NE(why(evictable).find("until room is needed"), std::string::npos) << why(evictable);
  EXPECT_NE(why(owned).find("it has an owner"), std::string::npos) << why(owned);
  EXPECT_NE(why(unsealed).find("cannot be got yet"), std::string::npos) << why(unsealed);
  EXPECT_NE(why(dying).find("its memory is not free yet"), std::string::npos) << why(dying);
}

TEST_F(ObjstatReportsTest, WhyOfAnAbsentObjectTellsOfEvictionsAndTakesASizeWithAUnit) {
  header().counters.evictions = 12;
  Happen(1, {.kind = EventKind::kEvicted, .objects = 12, .bytes = 3 * kMiB});
  const auto [text, code] = Run({"why", "1234", "-s", socket_});
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find("one of the 12 evicted and 0 deleted"), std::string::npos) << text;
  EXPECT_NE(text.find("12 objects of 3.0 MiB in all evicted"), std::string::npos) << text;
  EXPECT_NE(text.find("say objstat why 1234B"), std::string::npos) << text;
  EXPECT_NE(Run({"why", "1234B", "-s", socket_}).first.find("1.2 KiB fit now"), std::string::npos);
  const auto [wrong, wrong_code] = Run({"why", "64X", "-s", socket_});
  EXPECT_EQ(wrong_code, 2);
  EXPECT_NE(wrong.find("'64X' is neither an object nor a size"), std::string::npos) << wrong;
}

// As a store with a million objects that never rests: each look sees a change under way.
TEST_F(ObjstatReportsTest, EventsSayWhoFoundTheStoreFullAndWhoHeldIt) {
  Event full{.time_ms = 1, .kind = EventKind::kFull, .count = 3, .client = 5, .pid = 77, .bytes = 60 * kMiB};
  full.free_bytes = kMiB;
  full.holder_pid = 88;
  full.held_as = HeldAs::kPinned;
  full.holder_bytes = 50 * kMiB;
  std::strcpy(full.program, "wants");
  std::strcpy(full.holder_program, "holds");
  Happen(1, full);
  Happen(2, {.kind = EventKind::kEvicted, .objects = 2, .bytes = 8 * kMiB});
  const std::string sentence =
      "wants (pid 77) found no room for 60.0 MiB: free 1.0 MiB, largest run 0 B, pinned 0 B; holds (pid 88) pinned "
      "50.0 MiB; 3 times within a second";
  EXPECT_NE(Run({"events", "-s", socket_}).first.find(sentence), std::string::npos)
      << Run({"events", "-s", socket_}).first;
  const std::string screen = Run({"-s", socket_}).first;
  EXPECT_NE(screen.find(" ago: " + sentence), std::string::npos) << screen;
  const auto events = json::parse(Run({"events", "--json", "-s", socket_}).first);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]["holder"]["pid"], 88);
  EXPECT_EQ(events[1]["objects"], 2);
  EXPECT_TRUE(events[1]["holder"].is_null());
  EXPECT_EQ(json::parse(Run({"events", "--limit", "1", "--json", "-s", socket_}).first).size(), 1u);
}

TEST_F(ObjstatReportsTest, OldEventsGiveWayToNewOnes) {
  for (uint64_t i = 1; i <= kEventSlots + 10; ++i) Happen(i, {.kind = EventKind::kEvicted, .objects = i});
  const Snapshot snapshot = Take();
  ASSERT_EQ(snapshot.events.size(), kEventSlots);
  EXPECT_EQ(snapshot.events.front().event.objects, 11u);
  EXPECT_EQ(snapshot.events.back().event.objects, kEventSlots + 10);
}

TEST_F(ObjstatReportsTest, RatesAreTheDifferenceOfTwoLooks) {
  Snapshot earlier = Take();
  Snapshot now = earlier;
  earlier.up_ms = 10'000;
  now.up_ms = 12'000;
  now.counters.creates = earlier.counters.creates + 500;
  now.clients[0].created_count += 100;
  now.clients[0].connected_ms_ago = 12'000;
  EXPECT_DOUBLE_EQ(RatesBetween(&earlier, now).creates, 250);
  EXPECT_EQ(RatesBetween(&earlier, now).over_ms, 2000u);
  EXPECT_DOUBLE_EQ(TopClients(&earlier, now)[0].creates, 50);
  Snapshot restarted = now;
  restarted.daemon_pid += 1;
  restarted.counters.creates = 6;
  restarted.up_ms = 3000;
  EXPECT_DOUBLE_EQ(RatesBetween(&earlier, restarted).creates, 2) << "since the start of the new store";
}

TEST_F(ObjstatReportsTest, TopPutsTheClientThatKeepsTheMostFirst) {
  Pin(Add(EntryState::kSealed, 5 * kMiB));
  AddClient(7, ::getpid(), "owner", 9 * kMiB);
  const auto top = json::parse(Run({"top", "--json", "--interval", "0.1", "-s", socket_}).first);
  ASSERT_EQ(top["clients"].size(), 2u);
  EXPECT_EQ(top["clients"][0]["name"], "owner");
  EXPECT_EQ(top["clients"][1]["pinned_bytes"], 5 * kMiB);
  EXPECT_GE(top["rates"]["over_ms"], 100);
  const std::string one = Run({"top", "--limit", "1", "--interval", "0.1", "-s", socket_}).first;
  EXPECT_NE(one.find("and 1 more"), std::string::npos) << one;
}

TEST_F(ObjstatReportsTest, ListIsSortedChosenAndCutShort) {
  FillAll();
  const auto list = [this](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"ls", "--json", "-s", socket_});
    return json::parse(Run(arguments).first);
  };
  EXPECT_EQ(list({"--sort", "size"})[0]["data_bytes"], 17 * kMiB);
  EXPECT_EQ(list({"--sort", "size", "--limit", "2"}).size(), 2u);
  const json owned = list({"--state", "protected"});
  ASSERT_EQ(owned.size(), 1u);
  EXPECT_EQ(owned[0]["data_bytes"], 11 * kMiB);
  EXPECT_EQ(list({"--sort", "pins"})[0]["pins"], 1);
}

TEST_F(ObjstatReportsTest, WatchPrintsOneLineOfJsonForEachLook) {
  FillAll();
  const auto [text, code] = Run({"--watch", "--interval", "0.1", "--count", "3", "--json", "-s", socket_});
  EXPECT_EQ(code, 0) << text;
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_EQ(json::parse(line)["ledger"]["adds_up"], true);
  EXPECT_EQ(count, 3);
}

TEST_F(ObjstatReportsTest, WatchEndsWithTheStore) {
  auto run = test::DaemonProcess::StartPlain("objstat", {"--watch", "--interval", "0.1", "-s", socket_});
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_TRUE(
      test::Eventually(std::chrono::seconds(30), [&] { return run->Output().find("ledger") != std::string::npos; }));
  UnlinkNamedSegment(segment_);
  const auto end = run->Wait(Deadline::AfterMs(30'000));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 3) << run->Output();
}

TEST_F(ObjstatReportsTest, WrongUsageIsExplained) {
  const struct {
    std::vector<std::string> arguments;
    const char* says;
  } cases[] = {
      {{"--interval", "0", "--watch"}, "'0' is no interval: say seconds, from 0.1 to 86400"},
      {{"--interval", "soon", "--watch"}, "'soon' is no interval"},
      {{"--watch", "--count", "0"}, "'0' is no count: say a number from 1"},
      {{"--count", "2"}, "--count is for --watch"},
      {{"pins", "--older", "5y"}, "'5y' is no age: say a number with ms, s, m, h or d"},
      {{"ls", "--state", "lost"}, "lost not in {pinned,evictable,protected,unsealed,dying,spilled}"},
      {{"ls", "--prom"}, "say it without a subcommand"},
      {{"dump", "abcd", "--json"}, "say it without --json"},
      {{"show"}, "id is required"},
      {{"ls", "clients"}, "clients"},
  };
  for (const auto& each : cases) {
    std::vector<std::string> arguments = each.arguments;
    arguments.insert(arguments.end(), {"-s", socket_});
    const auto [text, code] = Run(arguments);
    EXPECT_EQ(code, 2) << text;
    EXPECT_NE(text.find(each.says), std::string::npos) << each.says << " in " << text;
  }
}

TEST_F(ObjstatReportsTest, PrometheusTextNamesEachMetricOnceAndCountsThePins) {
  FillAll();
  const auto [text, code] = Run({"--prom", "-s", socket_});
  EXPECT_EQ(code, 0) << text;
  std::istringstream lines(text);
  std::vector<std::string> helps;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) helps.push_back(line.substr(7, line.find(' ', 7) - 7));
    EXPECT_TRUE(line.starts_with("#") || line.starts_with(helps.back())) << line;
  }
  std::vector<std::string> unique = helps;
  std::ranges::sort(unique);
  EXPECT_EQ(std::ranges::adjacent_find(unique), unique.end()) << "a metric has two helps";
  for (const char* line : {"plasma_store_place_bytes{place=\"pinned\"} 5242880\n", "plasma_store_up 1\n",
                           "plasma_store_object_bytes{state=\"sealed\"} 24117248\n", "plasma_store_ledger_adds_up 1\n",
                           "# TYPE plasma_store_creates_total counter\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST(ObjstatText, AgesAndSharesAreReadAndWritten) {
  EXPECT_EQ(ParseAge("250ms"), 250u);
  EXPECT_EQ(ParseAge("90"), 90'000u);
  EXPECT_EQ(ParseAge("5m"), 300'000u);
  EXPECT_EQ(ParseAge("2h"), 7'200'000u);
  EXPECT_EQ(ParseAge("1d"), 86'400'000u);
  for (const char* wrong : {"", "m", "-1s", "5y", "1.5h", "99999999999999999999", "5 m"})
    EXPECT_FALSE(ParseAge(wrong)) << wrong;
  EXPECT_EQ(Percent(1, 3), "33 %");
  EXPECT_EQ(Percent(1, 0), "0 %");
  EXPECT_EQ(Printable("a\x7f\tb"), "a??b");
}

TEST(ParseBytesTest, TakesNumbersWithTheirUnits) {
  EXPECT_EQ(ParseBytes("512"), 512u);
  EXPECT_EQ(ParseBytes("1.5G"), 1610612736u);
  EXPECT_EQ(ParseBytes("64m"), 64 * kMiB);
  for (const char* wrong : {"", "G", "-1", "0", "1T", "nan", "1e300", "12 M"}) EXPECT_FALSE(ParseBytes(wrong)) << wrong;
}

}  // namespace
}  // namespace raylet::objstat
