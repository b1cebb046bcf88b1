// Results of ray::Wait and ray::Get for many references. For every runtime: a test program calls these between
// ray::Init and ray::Shutdown.
#pragma once

namespace waits {

// ---- Wait
void ExpectNoMoreThanAskedFor();
void ExpectReadyFoundBehindPending();
void ExpectReadyFoundWhileItWaits();  // the one that is enough, and then all
void ExpectReadyFoundAtTheTimeout();  // those that became ready meanwhile, behind one that did not
void ExpectEarlierOneCountedOnce();   // no more than asked for, though an earlier one becomes ready meanwhile
void ExpectEachOfTwoEqualOnesCounted();
void ExpectBadCountsAndReferencesRefused();
void ExpectStandardLists();            // each use that programs make of them compiles, and does as ever
void ExpectListsToKeepTheirObjects();  // when nobody else refers to them

// ---- Get
void ExpectValuesInOrder();  // small, large and failed ones, in any number
void ExpectFirstErrorThrown();
void ExpectErrorBeforeTheNextWait();  // a value that cannot be read is told before a later one is awaited
void ExpectReferencesInValuesToKeepTheirObjects();

}  // namespace waits
