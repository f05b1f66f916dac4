// A question before what cannot be undone. One at a time; no is the answer of whoever leaves.

export interface Question {
  title: string;
  text: string;
  yes: string; // what the button says
  answer: (yes: boolean) => void;
}

class Questions {
  current: Question | null = $state.raw(null);

  ask(title: string, text: string, yes: string): Promise<boolean> {
    this.current?.answer(false);
    return new Promise((resolve) => {
      const answer = (given: boolean) => {
        this.current = null;
        resolve(given);
      };
      this.current = { title, text, yes, answer };
    });
  }
}

export const questions = new Questions();
