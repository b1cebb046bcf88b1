// objstat over an index that the test writes as a daemon would.
#include <gtest/gtest.h>
#include <sys/file.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/harness/help_text.h"
#include "tests/tools/objstat_fixture.h"
#include "tools/objstat/screen.h"

namespace raylet::objstat {
namespace {

TEST_F(ObjstatTest, LedgerAddsUpWithObjectsOfEveryKind) {
  FillAll();
  const auto snapshot = TakeSnapshot(socket_);
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_TRUE(snapshot->daemon_alive);
  EXPECT_TRUE(snapshot->consistent);
  const Ledger& ledger = snapshot->ledger;
  EXPECT_TRUE(ledger.AddsUp()) << ledger.differences.front();
  EXPECT_EQ(ledger.pinned.bytes, 5 * kMiB);
  EXPECT_EQ(ledger.evictable.bytes, 7 * kMiB);
  EXPECT_EQ(ledger.protected_objects.bytes, 11 * kMiB);
  EXPECT_EQ(ledger.unsealed.bytes, 13 * kMiB);
  EXPECT_EQ(ledger.dying.bytes, 17 * kMiB);
  EXPECT_EQ(ledger.free_bytes, 11 * kMiB);
  EXPECT_EQ(snapshot->largest_run_bytes, 64 * kMiB - 53 * kMiB);  // of 72 MiB of the arena
  const std::string screen = DefaultScreen(*snapshot, {});
  EXPECT_NE(
      screen.find(
          "ledger: capacity 64.0 MiB = pinned 5.0 MiB + evictable 7.0 MiB + protected 11.0 MiB + unsealed 13.0 MiB "
          "+ dying 17.0 MiB + free 11.0 MiB: adds up\n"),
      std::string::npos)
      << screen;
  EXPECT_NE(screen.find("oldest unsealed: "), std::string::npos);
  EXPECT_NE(screen.find("largest run   11.0 MiB"), std::string::npos) << "no more than is free: " << screen;
  EXPECT_EQ(screen.find('\033'), std::string::npos);
  EXPECT_NE(DefaultScreen(*snapshot, {true}).find('\033'), std::string::npos);
}

TEST_F(ObjstatTest, LedgerThatDoesNotAddUpSaysWhatDiffersAndFails) {
  FillAll();
  header().counters.sealed_bytes += 1;
  const auto [text, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find("does not add up"), std::string::npos) << text;
  EXPECT_NE(text.find("sealed objects have 24117248 bytes, and the daemon counts 24117249"), std::string::npos) << text;
}

TEST_F(ObjstatTest, ScreenListsAndJsonComeFromTheProgram) {
  FillAll();
  const auto [screen, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 0) << screen;
  EXPECT_NE(screen.find(": adds up"), std::string::npos) << screen;

  const auto json = nlohmann::json::parse(Run({"--json", "-s", socket_}).first);
  EXPECT_EQ(json["ledger"]["adds_up"], true);
  EXPECT_EQ(json["ledger"]["pinned"]["bytes"], 5 * kMiB);
  EXPECT_EQ(json["daemon"]["alive"], true);

  const auto objects = nlohmann::json::parse(Run({"ls", "--json", "-s", socket_}).first);
  ASSERT_EQ(objects.size(), 5u);
  EXPECT_EQ(objects[0]["state"], "pinned");
  EXPECT_EQ(objects[0]["holders"][0], 4711);
  EXPECT_EQ(objects[4]["state"], "dying");
  const std::string list = Run({"-s", socket_, "ls"}).first;
  EXPECT_NE(list.find("evictable"), std::string::npos) << list;

  const auto clients = nlohmann::json::parse(Run({"clients", "--json", "-s", socket_}).first);
  ASSERT_EQ(clients.size(), 1u);
  EXPECT_EQ(clients[0]["name"], "trainer");
  EXPECT_EQ(clients[0]["pins"], 2);
  EXPECT_NE(Run({"-s", socket_, "clients"}).first.find("trainer"), std::string::npos);
}

TEST_F(ObjstatTest, DeadDaemonIsSaidAndWhatItLeftIsShown) {
  FillAll();
  ::flock(lock_.get(), LOCK_UN);  // as the kernel does when its process ends
  const auto [text, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find("is dead; this is what it left"), std::string::npos) << text;
  EXPECT_NE(text.find("pinned 5.0 MiB"), std::string::npos) << text;  // found among the client's descriptors
}

TEST_F(ObjstatTest, DaemonThatDiedInTheMiddleOfAChangeIsSaid) {
  FillAll();
  header().counters.mutation_seq = 7;
  ::flock(lock_.get(), LOCK_UN);  // as the kernel does when its process ends
  const auto [text, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find("died in the middle of a change"), std::string::npos) << text;
}

TEST_F(ObjstatTest, ExitCodesTellUsageFromNotRunning) {
  EXPECT_EQ(Run({"-s", socket_ + "-not"}).second, 3);
  EXPECT_NE(Run({"-s", socket_ + "-not"}).first.find("plasma_store -m 1G -s "), std::string::npos);
  EXPECT_EQ(Run({"--no-such-flag"}).second, 2);
  EXPECT_EQ(Run({"no-such-verb"}).second, 2);
  EXPECT_EQ(Run({}).second, 2);
  const auto [help, code] = Run({"--help"});
  EXPECT_EQ(code, 0);
  for (const char* word :
       {"pinned", "evictable", "protected", "unsealed", "dying", "restoring", "free", "Examples:", "Exit codes: "})
    EXPECT_NE(help.find(word), std::string::npos) << word;
  EXPECT_EQ(Run({"--version"}).second, 0);
}

TEST_F(ObjstatTest, HelpShowsTheDefaultOfEachFlagThatHasOne) {
  using Defaults = std::map<std::string, std::string>;
  const Defaults flags = {{"--help", ""}, {"--version", ""}, {"--socket", ""},    {"--json", ""},
                          {"--prom", ""}, {"--watch", ""},   {"--interval", "1"}, {"--count", "none: go on"}};
  const std::string help = Run({"--help"}).first;
  EXPECT_EQ(test::DefaultsIn(help), flags) << help;
  const std::pair<const char*, Defaults> verbs[] = {
      {"ls", {{"--help", ""}, {"--state", ""}, {"--sort", "place"}, {"--limit", "all"}}},
      {"show", {{"--help", ""}}},
      {"dump", {{"--help", ""}, {"--metadata", ""}, {"--output", "stdout"}}},
      {"pins", {{"--help", ""}, {"--older", ""}}},
      {"top", {{"--help", ""}, {"--limit", "20"}}},
      {"events", {{"--help", ""}, {"--limit", "256, all that the store keeps"}}},
      {"leaks", {{"--help", ""}, {"--older", "60s"}}}};
  for (const auto& [verb, of_verb] : verbs) {
    const std::string text = Run({verb, "--help"}).first;
    EXPECT_EQ(test::DefaultsIn(text), of_verb) << text;
  }
}

TEST_F(ObjstatTest, SegmentThatMakesNoSenseIsAFailureNotACrash) {
  header().magic = 1;
  EXPECT_EQ(Run({"-s", socket_}).second, 1);
}

}  // namespace
}  // namespace raylet::objstat
