noun! {
    /// List, make and remove accounts; let people sign in
    list => List,
    create => Create,
    sign_in => SignIn,
    remove => Remove,
}
